import pytest
from tallystick.model.instrument import broken_rules, notional_of

from .examples import instrument, plains, price, quantity


@pytest.mark.parametrize(
    ("at", "size", "expected"),
    [
        ("0.41", "5", []),
        ("0.01", "5.01", []),
        ("0.99", "100000", []),
        ("0.415", "5", ["price 0.415: allowed is a multiple of the tick 0.01"]),
        ("1", "5", ["price 1: allowed is from 0.01 to 0.99"]),
        ("0", "5", ["price 0: allowed is from 0.01 to 0.99"]),
        ("0.41", "4.99", ["quantity 4.99: allowed is at least 5"]),
        ("0.41", "5.001", ["quantity 5.001: allowed is a multiple of 0.01"]),
        (
            "0.415",
            "0.001",
            [
                "price 0.415: allowed is a multiple of the tick 0.01",
                "quantity 0.001: allowed is at least 5",
                "quantity 0.001: allowed is a multiple of 0.01",
            ],
        ),
    ],
)
def test_every_broken_rule_is_named_with_what_was_found(at: str, size: str, expected: list[str]) -> None:
    assert [str(rule) for rule in broken_rules(instrument(), price(at), quantity(size))] == expected


def test_the_smallest_notional_counts_the_multiplier() -> None:
    rules = instrument(notional_minimum="10", multiplier="50", minimum="0.1")
    assert broken_rules(rules, price("0.5"), quantity("0.4")) == []
    (broken,) = broken_rules(rules, price("0.5"), quantity("0.39"))
    assert str(broken) == "notional 9.75: allowed is at least 10"


def test_a_notional_keeps_every_digit() -> None:
    rules = instrument(multiplier="1.000000000000000001")
    worth = notional_of(rules, price("0.3333333333333333"), quantity("99999999.99999999"))
    assert plains(worth) == "33333333.333333326700000000000000326666666666666667"
