import json
from decimal import Decimal

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tallystick.model.identifiers import AccountId, InstrumentId, IntentId
from tallystick.model.instrument import Instrument
from tallystick.model.intake import BadIntent, intent_to_json, read_intent
from tallystick.model.intent import AnyIntent, Intent, PairIntent, PairLeg, PriceBand, Side, Style, TimeInForce, Urgency
from tallystick.model.intent_rules import malformed, unfit
from tallystick.model.money import plain
from tallystick.model.timestamps import rfc3339

from .examples import (
    ACCOUNT,
    INSTRUMENTS,
    NOW_NS,
    RAIN,
    SECOND_NS,
    SNOW,
    cash,
    instrument,
    pair,
    price,
    quantity,
    single,
)

LATER = rfc3339(NOW_NS + 60 * SECOND_NS)
SINGLE: dict[str, object] = {
    "kind": "single",
    "intent_id": "a1",
    "strategy": "pairs",
    "account": "polymarket:main",
    "instrument": RAIN,
    "side": "buy",
    "quantity": "25",
    "limit_price": "0.41",
    "expires_at": LATER,
}
PAIR: dict[str, object] = {
    "kind": "pair",
    "intent_id": "p1",
    "strategy": "pairs",
    "account": "polymarket:main",
    "long": {"instrument": RAIN, "limit_price": "0.41"},
    "short": {"instrument": SNOW, "limit_price": "0.63"},
    "notional": "25",
    "expires_at": LATER,
}
MISSING = object()


def known(name: InstrumentId) -> Instrument | None:
    return INSTRUMENTS.get(name)


def read(line: bytes | str, default_account: AccountId | None = None) -> AnyIntent | BadIntent:
    content = line.encode() if isinstance(line, str) else line
    return read_intent(content, where="line 7", now_ns=NOW_NS, known=known, default_account=default_account)


def text(base: dict[str, object], **changes: object) -> str:
    """The line with these fields changed, and those that are MISSING left out."""
    fields = {name: value for name, value in (base | changes).items() if value is not MISSING}
    return json.dumps(fields)


def problems(line: bytes | str) -> list[str]:
    found = read(line)
    assert isinstance(found, BadIntent), found
    return [str(problem) for problem in found.problems]


def fields(line: bytes | str) -> list[str]:
    found = read(line)
    assert isinstance(found, BadIntent), found
    return [problem.field for problem in found.problems]


# ---- good lines -------------------------------------------------------------------------------------------


def test_a_single_intent_is_read() -> None:
    assert read(text(SINGLE)) == single()


def test_a_pair_is_read() -> None:
    assert read(text(PAIR) + "\r\n") == pair()


def test_every_field_is_read() -> None:
    line = text(
        SINGLE,
        side="sell_short",
        price_band={"minimum": "0.40", "maximum": 0.50},
        urgency="immediate",
        time_in_force="gtd",
        style="post_only",
        child_quantity_maximum="10",
        slippage_bps_maximum=25,
        target_price="0.4",
        expected_hold_seconds=3600,
        risk_tags=["weather", "small"],
    )
    assert read(line) == single(
        side=Side.SELL_SHORT,
        price_band=PriceBand(minimum=price("0.40"), maximum=price("0.50")),
        urgency=Urgency.IMMEDIATE,
        time_in_force=TimeInForce.GTD,
        style=Style.POST_ONLY,
        child_quantity_maximum=quantity("10"),
        slippage_bps_maximum=Decimal(25),
        target_price=price("0.4"),
        expected_hold_seconds=3600,
        risk_tags=("weather", "small"),
    )


def test_the_account_may_be_left_to_the_default() -> None:
    found = read(text(SINGLE, account=MISSING), default_account=ACCOUNT)
    assert found == single()
    assert problems(text(SINGLE, account=MISSING)) == [
        'account: found nothing; allowed is an account, like "polymarket:main" (there is no default)'
    ]


def test_a_field_that_is_null_counts_as_absent() -> None:
    assert read(text(SINGLE, price_band=None, risk_tags=None, child_quantity_maximum=None)) == single()


def test_an_expiry_may_be_given_in_seconds_from_now() -> None:
    found = read(text(SINGLE, expires_at=MISSING, expires_in_seconds=0.5))
    assert isinstance(found, Intent)
    assert found.expires_at_ns == NOW_NS + SECOND_NS // 2


@pytest.mark.parametrize("number", ["25", "25.0", "2.5e1", '"25"', '"25.00"'])
def test_an_amount_may_be_a_number_or_a_text_and_is_the_same_intent(number: str) -> None:
    assert read(text(SINGLE).replace('"25"', number)) == single()


def test_a_number_is_read_from_its_digits_and_never_through_a_float() -> None:
    digits = "25.123456789012345678901234567"
    line = text(SINGLE).replace('"25"', digits)
    fine = {RAIN: instrument(step="1e-30", minimum="1")}
    found = read_intent(line.encode(), where="line 1", now_ns=NOW_NS, known=fine.get, default_account=None)
    assert isinstance(found, Intent)
    assert plain(found.quantity) == digits


# ---- bad lines as a whole ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"", "an empty line"),
        (b"  \r\n", "an empty line"),
        (b"\xff{}", "byte 0xff at 0, which is not UTF-8"),
        (b'{"kind": "pair", "long": {"instr', 'a line that breaks off after \'kind": "pair", "long": {"instr\''),
        (b'{"kind": "pair"', 'a line that breaks off after \'{"kind": "pair"\''),
        (b"not json", "'not json' at character 1 (Expecting value)"),
        (b'{"kind": "pair"} {"kind": "pair"}', "at character 18 (Extra data)"),
        (b"{'kind': 1}", "at character 2"),
        (b"[]", "a list of 0"),
        (b"7", "the number 7"),
        (b"null", "null"),
        (b'"text"', "the text 'text'"),
        (b"[" * 60_000, "JSON that is nested too deeply"),
        (b"{" + b" " * 70_000 + b"}", "70002 bytes"),
        ("﻿{}".encode(), "at character 1"),
        (b'{"a": "\x01"}', "at character 8 (Invalid control character at)"),
    ],
)
def test_a_line_that_is_no_object_is_one_problem_that_says_what_was_there(line: bytes, found: str) -> None:
    (problem,) = problems(line)
    assert problem.startswith("line: found ")
    assert found in problem
    assert "allowed is" in problem


def test_a_bad_line_says_where_it_stood_and_whose_it_is() -> None:
    found = read(text(SINGLE, quantity="0"))
    assert isinstance(found, BadIntent)
    assert found.intent_id == IntentId("a1")
    assert str(found) == "line 7 (intent a1): quantity: found 0; allowed is a number above zero"


# ---- bad fields -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"kind": "triple"}, "kind: found the text 'triple'; allowed is single or pair"),
        ({"kind": 7}, "kind: found the number 7; allowed is single or pair"),
        ({"intent_id": ""}, "intent_id: found ''; allowed is letters, digits and . _ : -"),
        ({"intent_id": "a b"}, "intent_id: found 'a b'; allowed is letters"),
        ({"intent_id": "x" * 65}, "intent_id: found 'xxxx"),
        ({"intent_id": 5}, "intent_id: found the number 5; allowed is a text"),
        ({"intent_id": MISSING}, "intent_id: found nothing; allowed is a text"),
        ({"intent_id": "a\ud800"}, r"intent_id: found 'a\ud800'"),
        ({"strategy": None}, "strategy: found nothing"),
        ({"account": "kraken:main"}, "instrument: found polymarket:rain:Yes; allowed is an instrument of the"),
        ({"instrument": "polymarket:hail:Yes"}, "instrument: found 'polymarket:hail:Yes'; allowed is an instrument"),
        ({"instrument": ["x"]}, "instrument: found a list of 1; allowed is the id of an instrument"),
        ({"side": "by"}, "side: found the text 'by'; allowed is one of buy, sell, buy_to_cover, sell_short; did you"),
        ({"side": True}, "side: found true; allowed is one of buy"),
        ({"quantity": "0"}, "quantity: found 0; allowed is a number above zero"),
        ({"quantity": "-25"}, "quantity: found -25; allowed is a number above zero"),
        ({"quantity": "NaN"}, "quantity: found the text 'NaN'; allowed is a decimal number"),
        ({"quantity": float("inf")}, "quantity: found the number Infinity; allowed is a decimal number"),
        ({"quantity": float("nan")}, "quantity: found the number NaN; allowed is a decimal number"),
        ({"quantity": "1e400"}, "quantity: found the text '1e400'; allowed is a decimal number"),
        ({"quantity": 10**60}, "quantity: found the number 1000000000"),
        ({"quantity": "1_0"}, "quantity: found the text '1_0'"),
        ({"quantity": True}, "quantity: found true"),
        ({"quantity": {}}, "quantity: found an object of 0 fields"),
        ({"quantity": "3"}, "quantity: found 3; allowed is at least 5"),
        ({"quantity": "25.001"}, "quantity: found 25.001; allowed is a multiple of 0.01"),
        ({"limit_price": "0.415"}, "limit_price: found 0.415; allowed is a multiple of the tick 0.01"),
        ({"limit_price": "1.2"}, "limit_price: found 1.2; allowed is from 0.01 to 0.99"),
        ({"limit_price": "0"}, "limit_price: found 0; allowed is a number above zero"),
        (
            {"price_band": {"maximum": "0.40"}},
            "limit_price: found 0.41; allowed is a price inside price_band, from any to 0.4",
        ),
        ({"price_band": {"minimum": "0.5", "maximum": "0.4"}}, "price_band.minimum: found 0.5; allowed is at most"),
        ({"price_band": "wide"}, "price_band: found the text 'wide'; allowed is an object with minimum and maximum"),
        ({"price_band": {"min": "0.1"}}, "price_band.min: found an unknown field; allowed is one of minimum, max"),
        ({"expires_at": "2999-01-01T00:00:00Z"}, "s from now; allowed is at most 316224000 s from now"),
        ({"expires_at": "tomorrow"}, "expires_at: found the text 'tomorrow'; allowed is a time with its offset, like"),
        ({"expires_at": 1790000000}, "expires_at: found the number 1790000000; allowed is a time with its offset"),
        ({"expires_at": MISSING}, "expires_at: found nothing; allowed is either expires_at or expires_in_seconds"),
        ({"expires_in_seconds": 5}, "expires_at: found expires_in_seconds as well; allowed is either"),
        ({"expires_at": MISSING, "expires_in_seconds": -1}, "expires_in_seconds: found -1; allowed is a number"),
        ({"expires_at": MISSING, "expires_in_seconds": "1e30"}, "expires_in_seconds: found 1E+30; allowed is at most"),
        ({"style": "post_only", "time_in_force": "ioc"}, "time_in_force: found ioc; allowed is gtc or gtd with style"),
        ({"child_quantity_maximum": "2"}, "child_quantity_maximum: found 2; allowed is at least 5"),
        ({"child_quantity_maximum": 0}, "child_quantity_maximum: found 0; allowed is a number above zero"),
        ({"slippage_bps_maximum": "10001"}, "slippage_bps_maximum: found 10001; allowed is from 0 to 10000"),
        ({"expected_hold_seconds": 1.5}, "expected_hold_seconds: found 1.5; allowed is a whole number"),
        ({"risk_tags": "weather"}, "risk_tags: found the text 'weather'; allowed is a list of texts"),
        ({"risk_tags": ["a", 5]}, "risk_tags[1]: found the number 5; allowed is a text"),
        ({"risk_tags": ["\n"]}, r"risk_tags[0]: found '\n'; allowed is 1 to 64 printable ASCII characters"),
        ({"risk_tags": ["a"] * 17}, "risk_tags: found 17 tags; allowed is at most 16"),
        ({"quanttiy": "25"}, "quanttiy: found an unknown field; allowed is one of"),
        ({"notional": "25"}, "notional: found a field of the other kind of intent; allowed is one of"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_with_what_was_found_and_what_is_allowed(
    changes: dict[str, object], expected: str
) -> None:
    found = problems(text(SINGLE, **changes))
    assert any(expected in problem for problem in found), found
    assert len(found) == 1, found


def test_a_misspelt_field_gets_a_suggestion() -> None:
    (problem,) = problems(text(SINGLE, urgencyy="high"))
    assert problem.endswith("did you mean urgency?")


def test_a_misspelt_instrument_gets_a_suggestion_among_those_that_are_known() -> None:
    line = text(SINGLE, instrument=f"{RAIN}x").encode()
    found = read_intent(
        line, where="line 7", now_ns=NOW_NS, known=known, default_account=None, learned=INSTRUMENTS.keys()
    )
    assert isinstance(found, BadIntent)
    (problem,) = found.problems
    assert problem.allowed.endswith(f"did you mean {RAIN}?")


def test_a_field_that_comes_twice_is_refused_even_if_both_say_the_same() -> None:
    line = text(SINGLE)[:-1] + ', "quantity": "25"}'
    assert problems(line) == ["quantity: found the same field more than once; allowed is each field once"]
    nested = text(PAIR).replace('"limit_price": "0.41"', '"limit_price": "0.41", "limit_price": "0.99"')
    assert fields(nested) == ["long.limit_price", "long.limit_price"] or "long.limit_price" in fields(nested)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"long": MISSING}, "long: found nothing; allowed is an object with instrument, limit_price"),
        ({"short": "x"}, "short: found the text 'x'; allowed is an object with instrument"),
        ({"short": {"instrument": SNOW}}, "short.limit_price: found nothing; allowed is a decimal number"),
        (
            {"short": {"instrument": SNOW, "limit_price": "0.635"}},
            "short.limit_price: found 0.635; allowed is a multiple of the tick 0.01",
        ),
        (
            {"short": {"instrument": RAIN, "limit_price": "0.63"}},
            "short.instrument: found 'polymarket:rain:Yes'; allowed is another instrument than that of the long leg",
        ),
        ({"notional": "3"}, "notional: found 3, which makes the short leg 4.76 at 0.63; allowed is at least 3.15"),
        ({"notional": "-3"}, "notional: found -3; allowed is a number above zero"),
        ({"child_quantity_maximum": "1"}, "child_quantity_maximum: found 1; allowed is at least 5"),
        ({"side": "buy"}, "side: found a field of the other kind of intent"),
        (
            {"long": {"instrument": RAIN, "limit_price": "0.41", "quantity": "3"}},
            "long.quantity: found an unknown field; allowed is one of instrument, limit_price, price_band",
        ),
    ],
)
def test_a_wrong_leg_is_named_by_its_path(changes: dict[str, object], expected: str) -> None:
    found = problems(text(PAIR, **changes))
    assert any(expected in problem for problem in found), found


@pytest.mark.parametrize("expires_at", [rfc3339(NOW_NS), "1999-01-01T00:00:00Z"])
def test_an_expiry_in_the_past_is_left_to_the_gates_which_know_what_was_accepted_before(expires_at: str) -> None:
    found = read(text(SINGLE, expires_at=expires_at))
    assert isinstance(found, Intent)
    assert found.expires_at_ns <= NOW_NS


def test_every_wrong_field_of_a_line_is_reported_at_once() -> None:
    line = text(
        PAIR,
        intent_id="",
        strategy=7,
        long={"instrument": "polymarket:hail:Yes", "limit_price": "x"},
        short={"instrument": SNOW, "limit_price": "0.635", "price_band": {"minimum": "0.9"}},
        notional=0,
        expires_at="yesterday",
        urgency="now",
        colour="red",
    )
    assert fields(line) == [
        "intent_id",
        "strategy",
        "expires_at",
        "urgency",
        "long.limit_price",
        "long.instrument",
        "short.limit_price",
        "short.limit_price",
        "notional",
        "colour",
    ]


def test_a_line_without_a_kind_is_still_read_to_the_end() -> None:
    assert fields(text(PAIR, kind=MISSING, notional="x")) == ["kind", "notional"]
    assert fields(text(SINGLE, kind="x", side="x")) == ["kind", "side"]


def test_a_flood_of_unknown_fields_is_cut() -> None:
    line = text(SINGLE, **{f"x{number}": number for number in range(3000)})
    found = problems(line)
    assert len(found) == 21
    assert found[-1].startswith("…: found 2980 more unknown fields")


# ---- for all lines ----------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(["0.41", "25"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*SINGLE, *PAIR, "price_band"]), inner),
    max_leaves=10,
)
CHANGED = st.dictionaries(
    st.sampled_from(
        [*SINGLE, *PAIR, "price_band", "style", "risk_tags", "expires_in_seconds", "child_quantity_maximum"]
    ),
    JSON,
    max_size=4,
)


def well_formed(line: bytes) -> None:
    """Whatever the line was: an intent that keeps every rule, or problems that can be shown to anybody."""
    found = read(line)
    if isinstance(found, BadIntent):
        assert found.problems
        for problem in found.problems:
            assert problem.field
            assert str(problem).isprintable()
            assert len(str(problem)) < 600
            str(problem).encode("utf-8")
        msgspec.json.encode(found)
        return
    assert malformed(found) == []
    assert unfit(found, known) == []
    assert found.expires_at_ns > NOW_NS


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_raise(line: bytes) -> None:
    well_formed(line)


@settings(max_examples=300)
@given(st.sampled_from([SINGLE, PAIR]), CHANGED)
def test_no_values_make_the_reader_raise(base: dict[str, object], changes: dict[str, object]) -> None:
    well_formed(json.dumps(base | changes).encode())


@settings(max_examples=300)
@given(st.sampled_from([SINGLE, PAIR]), st.data())
def test_no_damage_to_a_good_line_makes_the_reader_raise(base: dict[str, object], data: st.DataObject) -> None:
    line = bytearray(text(base).encode())
    start = data.draw(st.integers(min_value=0, max_value=len(line)))
    end = data.draw(st.integers(min_value=start, max_value=min(start + 12, len(line))))
    line[start:end] = data.draw(st.binary(max_size=12))
    well_formed(bytes(line))


def test_an_unknown_field_without_a_name_is_named_all_the_same() -> None:
    found = read(text({**SINGLE, "": "x"}).encode())
    assert isinstance(found, BadIntent)
    assert [problem.field for problem in found.problems] == ["''"]


@pytest.mark.parametrize("base", [SINGLE, PAIR], ids=["single", "pair"])
def test_a_line_cut_at_any_byte_is_refused(base: dict[str, object]) -> None:
    line = text(base).encode()
    for end in range(len(line)):
        assert isinstance(read(line[:end]), BadIntent)


CENTS = st.integers(min_value=10, max_value=90).map(lambda cents: price(f"0.{cents:02}"))
BANDS = st.builds(
    lambda low, high: PriceBand(minimum=low, maximum=high),
    st.none() | st.just(price("0.05")),
    st.none() | st.just(price("0.95")),
)
EXPIRIES = st.integers(min_value=NOW_NS + 1, max_value=NOW_NS + 10**6 * SECOND_NS)
TAGS = st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20), max_size=3)
SINGLES = st.builds(
    single,
    side=st.sampled_from(Side),
    quantity=st.integers(min_value=500, max_value=10**7).map(
        lambda cents: quantity(f"{cents // 100}.{cents % 100:02}")
    ),
    limit_price=CENTS,
    expires_at_ns=EXPIRIES,
    price_band=BANDS,
    urgency=st.sampled_from(Urgency),
    time_in_force=st.sampled_from([TimeInForce.GTC, TimeInForce.GTD]),
    style=st.sampled_from(Style),
    child_quantity_maximum=st.none() | st.just(quantity("100000")),
    slippage_bps_maximum=st.none() | st.just(Decimal("12.5")),
    target_price=st.none() | CENTS,
    expected_hold_seconds=st.none() | st.integers(min_value=0, max_value=10**9),
    risk_tags=TAGS.map(tuple),
)
PAIRS = st.builds(
    pair,
    long=st.builds(lambda at, band: PairLeg(instrument=RAIN, limit_price=at, price_band=band), CENTS, BANDS),
    short=st.builds(lambda at, band: PairLeg(instrument=SNOW, limit_price=at, price_band=band), CENTS, BANDS),
    notional=st.integers(min_value=10, max_value=10**6).map(lambda whole: cash(str(whole))),
    expires_at_ns=EXPIRIES,
    urgency=st.sampled_from(Urgency),
    style=st.sampled_from(Style),
    risk_tags=TAGS.map(tuple),
)


@given(SINGLES | PAIRS)
@example(pair())
@example(single())
def test_an_intent_that_is_written_reads_back_as_itself(intent: Intent | PairIntent) -> None:
    line = intent_to_json(intent)
    assert b"\n" not in line
    assert read(line) == intent
