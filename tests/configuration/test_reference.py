"""config/polymarket.toml is the reference of the settings: it has each of them, with its default."""

import re
from pathlib import Path

import msgspec
from tallystick.configuration import AccountConfiguration, Configuration, load_configuration

from .test_configuration import PROJECT

REFERENCE = PROJECT / "config" / "polymarket.toml"
SETTING = re.compile(r"^# (([a-z_]+) = .+|\[.+\])$")
NOT_DEFAULTS = {
    # Alternatives of each other.
    "credentials",
    # None by default, and what stands there is an example.
    "seed",
    "order_quantity_maximum",
    "intent_notional_maximum",
    "position_quantity_maximum",
    "price_deviation_bps_maximum",
    "active_intents_per_strategy_maximum",
}
NAMED_BY_TABLES = {"account", "venue"}


def settings_of(kind: type[msgspec.Struct]) -> set[str]:
    """The names of all settings of a table and of the tables in it."""
    names: set[str] = set()
    for field in msgspec.structs.fields(kind):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            names |= settings_of(field.type)
        else:
            names.add(field.name)
    return names


def loaded(text: str, tmp_path: Path) -> Configuration:
    file = tmp_path / REFERENCE.name
    file.write_text(text)
    return load_configuration(file)


def test_the_reference_has_every_setting_of_an_account() -> None:
    text = REFERENCE.read_text()
    written = set(re.findall(r"(?m)^(?:# )?([a-z_]+) = ", text))
    assert settings_of(AccountConfiguration) - NAMED_BY_TABLES - written - {"services"} == set()


def test_what_is_commented_out_is_the_default(tmp_path: Path) -> None:
    text = REFERENCE.read_text()
    switched_on = []
    for line in text.splitlines():
        found = SETTING.match(line)
        switched_on.append(found[1] if found and found[2] not in NOT_DEFAULTS else line)
    assert sum(old != new for old, new in zip(text.splitlines(), switched_on, strict=True)) > 50
    assert loaded("\n".join(switched_on), tmp_path) == loaded(text, tmp_path)
