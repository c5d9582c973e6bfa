"""The table of scenarios in the documentation: complete, and naming tests that exist."""

import ast
import re
from pathlib import Path

import pytest

from .kit import ROW

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "scenarios.md"
SHARED = ROOT.parent / "shared" / "scenarios.md"
LINE = re.compile(r"^\| T(?P<number>\d+) \| (?P<principle>[^|]+) \| (?P<proof>[^|]+) \|$", re.MULTILINE)
NAME = re.compile(r"`(test_\w+)`")


def table() -> dict[int, str]:
    """The last column by number: the tests, or why there is none."""
    found = [(int(line["number"]), line["proof"].strip()) for line in LINE.finditer(TABLE.read_text())]
    assert len(dict(found)) == len(found), "a number stands in the table twice"
    return dict(found)


def written() -> dict[str, set[int]]:
    """Every test of this folder, with the rows that its docstring names."""
    found: dict[str, set[int]] = {}
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_"):
                found[node.name] = {int(number) for number in ROW.findall(ast.get_docstring(node) or "")}
    return found


def test_every_row_of_the_shared_table_is_in_ours() -> None:
    if not SHARED.exists():
        pytest.skip("the shared table of scenarios is not beside the project")
    numbers = {int(number) for number in re.findall(r"^\| (\d+) \|", SHARED.read_text(), re.MULTILINE)}
    assert numbers == set(table())


def test_every_row_names_its_tests_or_says_why_there_is_none() -> None:
    tests = written()
    for number, proof in table().items():
        named = NAME.findall(proof)
        for name in named:
            assert name in tests, f"T{number} names {name}, which does not exist"
            assert number in tests[name], f"{name} does not name T{number} in its docstring"
        assert named or proof.startswith("Not yet:"), f"T{number} has neither a test nor a reason"


def test_every_test_that_names_a_row_is_in_the_row() -> None:
    rows = table()
    for name, numbers in written().items():
        for number in numbers:
            assert name in NAME.findall(rows[number]), f"{name} names T{number}, and the table does not name it there"
