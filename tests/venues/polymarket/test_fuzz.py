"""Whatever arrives, every decoder returns a value, and every item of a frame is accounted for."""

import random
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tallystick.venues.evm.address import parse_address
from tallystick.venues.polymarket import answers
from tallystick.venues.polymarket.frames import read_market_frame, read_user_frame
from tallystick.venues.polymarket.orders import ApiKey
from tallystick.venues.port import Answer

from .recorded import decoded, names
from .test_recorded_payloads import READERS

KEY = ApiKey("3e2c94ca-8124-c4c1-c7ea-be1ea21b71fe")
WALLET = parse_address("0xa3D82Ed56F4c68d2328Fb8c29e568Ba2cAF7d7c8")
RECORDED = [*names("nautilus"), *names("nautilus_py"), *names("jkorf")]

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["order", "trade", "book", "price_change", "TRADE", "PLACEMENT", "0.5", "NaN", "-1", "1e999"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=8)
            | st.sampled_from(
                [
                    "event_type",
                    "type",
                    "id",
                    "asset_id",
                    "side",
                    "price",
                    "size",
                    "data",
                    "maker_orders",
                    "bids",
                    "asks",
                ]
            ),
            inner,
            max_size=8,
        )
    ),
    max_leaves=30,
)


def item_count(frame: bytes) -> int:
    """The items of a frame by its brackets alone: an item that is broken inside still counts."""
    try:
        return len(msgspec.json.decode(frame, type=list[msgspec.Raw]))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return 1


def check(frame: bytes) -> None:
    count = item_count(frame)
    market, user = read_market_frame(frame), read_user_frame(frame, api_key=KEY, wallet=WALLET)
    assert len(market) == count
    assert len(user) == count
    reply = Answer(status=200, headers=(), body=frame, received_at_ns=1)
    for read in READERS:
        read(reply)


@given(st.binary(max_size=300))
def test_any_bytes(frame: bytes) -> None:
    check(frame)


@given(json_values)
def test_any_json(value: Any) -> None:
    check(msgspec.json.encode(value))


@given(st.lists(json_values, max_size=6))
def test_any_rows_of_a_page_are_read_or_refused_one_for_one(rows: list[Any]) -> None:
    body = msgspec.json.encode({"data": rows, "next_cursor": "LTE="})
    reply = Answer(status=200, headers=(), body=body, received_at_ns=1)
    for page in (
        answers.read_orders_page(reply),
        answers.read_trades_page(reply, api_key=KEY, wallet=WALLET),
    ):
        assert isinstance(page, answers.Rows)
        assert len(page.rows) + len(page.refused) == len(rows)


def mutate(value: Any, rng: random.Random) -> Any:
    """One change somewhere inside a recorded payload."""
    if isinstance(value, dict) and value:
        key = rng.choice(sorted(value))
        if rng.random() < 0.3:
            return {name: inner for name, inner in value.items() if name != key}
        return value | {key: mutate(value[key], rng)}
    if isinstance(value, list) and value:
        place = rng.randrange(len(value))
        return [*value[:place], mutate(value[place], rng), *value[place + 1 :]]
    return rng.choice([None, True, 0, -1, 1e300, "", "NaN", "1e400", "x" * 50, [], {}, "0.5", 10**18])


@given(st.sampled_from(RECORDED or [""]), st.integers(0, 2**32), st.integers(1, 4))
def test_recorded_payloads_with_changes_in_them(name: str, seed: int, changes: int) -> None:
    if not name:
        return
    rng = random.Random(seed)
    value = decoded(name)
    for _ in range(changes):
        value = mutate(value, rng)
    check(msgspec.json.encode(value))


@given(st.sampled_from(RECORDED or [""]), st.integers(0, 2000), st.integers(0, 255))
def test_recorded_payloads_cut_short_or_with_a_changed_byte(name: str, place: int, byte: int) -> None:
    if not name:
        return
    frame = msgspec.json.encode(decoded(name))
    place %= len(frame)
    check(frame[:place])
    check(frame[:place] + bytes([byte]) + frame[place + 1 :])
