from hypothesis import given
from hypothesis import strategies as st
from tallystick.model.identifiers import ClientOrderId, IntentId, StrategyName, client_order_id, salt_of

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,12}", fullmatch=True)
NUMBERS = st.integers(min_value=0, max_value=20)
PARTS = st.tuples(NAMES, NAMES, NUMBERS, NUMBERS, NUMBERS)


def _identity(parts: tuple[str, str, int, int, int]) -> ClientOrderId:
    strategy, intent, leg, slice_number, attempt = parts
    return client_order_id(StrategyName(strategy), IntentId(intent), leg, slice_number, attempt)


def test_an_order_has_the_same_id_after_any_crash() -> None:
    made = client_order_id(StrategyName("pairs"), IntentId("a1"), 1, 2, 0)
    assert made == client_order_id(StrategyName("pairs"), IntentId("a1"), 1, 2, 0)
    assert made.startswith("a1.1.2.0-")


@given(PARTS, PARTS)
def test_two_slices_of_anything_never_share_an_id(
    one: tuple[str, str, int, int, int], other: tuple[str, str, int, int, int]
) -> None:
    assert (_identity(one) == _identity(other)) is (one == other)


def test_ids_tell_ten_million_equally_named_intents_of_two_strategies_apart() -> None:
    digest_bits = 4 * len(client_order_id(StrategyName("s"), IntentId("i"), 0, 0, 0).rpartition("-")[2])
    assert 10_000_000 / 2**digest_bits < 1e-9


def test_a_salt_follows_from_the_id_and_fits_a_double() -> None:
    order = ClientOrderId("a1.0.0.0-x")
    assert salt_of(order) == salt_of(order)
    assert 0 <= salt_of(order) < 2**53
