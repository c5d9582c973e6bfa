"""What the README promises is there: its code is the example that the tests run, its commands and links exist."""

import re
from pathlib import Path

import typer.main
from tallystick.console.cli import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_its_python_code_is_the_example_that_the_tests_run() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert code.strip() in (ROOT / "docs" / "examples" / "embed.py").read_text(encoding="utf-8")


def test_every_command_it_shows_exists() -> None:
    shown = set(re.findall(r"(?:bin/|`)tallystick ([\w-]+)", README))
    known = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]  # it is a group
    assert shown <= known, shown - known


def test_every_file_it_links_to_exists() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_make_target_it_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"`?make (\w+)", README)):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
