from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from tallystick.model.intent import AnyIntent, PriceBand, Side, content_of

from .examples import pair, price, quantity, single


def test_equal_intents_have_equal_content_however_their_numbers_were_written() -> None:
    assert content_of(single(quantity=quantity("25"))) == content_of(single(quantity=quantity("2.50e1")))


def test_any_other_content_has_other_bytes() -> None:
    variants: list[AnyIntent] = [
        single(),
        single(quantity=quantity("26")),
        single(side=Side.SELL),
        single(price_band=PriceBand(maximum=price("0.5"))),
        single(risk_tags=("a", "b")),
        single(risk_tags=("a,b",)),
        pair(),
    ]
    assert len({content_of(intent) for intent in variants}) == len(variants)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=0, max_value=10**9), st.integers(0, 8))
def test_trailing_zeros_never_change_the_content(amount: Decimal, zeros: int) -> None:
    longer = amount.quantize(Decimal(1).scaleb(-4 - zeros))
    assert longer == amount
    assert content_of(single(quantity=longer)) == content_of(single(quantity=amount))


def test_a_band_with_an_open_side_allows_everything_there() -> None:
    band = PriceBand(minimum=price("0.3"))
    assert band.allows(price("0.3"))
    assert band.allows(price("99"))
    assert not band.allows(price("0.29"))
