"""Timelines and traces: what belongs to them, in which order, with which times and durable points."""

from pathlib import Path

import pytest
from tallystick.console.wire import Exchanges
from tallystick.model.identifiers import ClientOrderId, VenueOrderId, salt_of
from tallystick.store import Direction, Entry, Lsn

from .kit import (
    LONG,
    LONG_AT_VENUE,
    RAIN,
    RAIN_AT_VENUE,
    SHORT,
    audit,
    run,
    run_json,
    words,
)


class TestTrace:
    def test_goes_from_the_intent_to_the_terminal_report_with_bytes_and_durable_points(self, store: Path) -> None:
        document = run_json("trace", RAIN, "--store", store, "--gap-seconds", "2")
        assert (document["strategy"], document["intent_id"]) == ("weather", "rain-1")
        assert [order["client_order_id"] for order in document["orders"]] == [RAIN]
        steps = [(step["lsn"], step["after_seconds"], step["lane"], step["kind"]) for step in document["steps"]]
        assert steps == [
            (6, "0.000000000", "event", "intent_accepted"),
            (7, "0.000000000", "event", "slice_computed"),
            (8, "0.001000000", "event", "order_submitted"),
            (9, "0.002000000", "wire", "request"),
            (10, "0.050000000", "wire", "answer"),
            (11, "0.051000000", "event", "order_acknowledged"),
            (12, "0.300000000", "wire", "answer"),
            (13, "0.301000000", "event", "fill_recorded"),
            (None, "0.301000000", "gap", "gap"),
            (14, "3.000000000", "event", "fill_settled"),
            (None, "3.000000000", "gap", "gap"),
            (15, "9.000000000", "event", "cancel_requested"),
            (16, "9.000000000", "wire", "request"),
            (19, "9.050000000", "wire", "answer"),
            (20, "9.051000000", "event", "cancel_answered"),
            (21, "9.052000000", "event", "order_done"),
            (22, "9.053000000", "event", "intent_ended"),
        ]
        assert {step["epoch"] for step in document["steps"] if step["lsn"]} == {1}

    def test_shows_requests_and_answers_with_both_ends(self, store: Path) -> None:
        steps = {step["lsn"]: step for step in run_json("trace", RAIN, "--store", store)["steps"]}
        assert (steps[9]["source"], steps[9]["target"]) == ("gateway", "polymarket:main")
        assert steps[9]["text"] == "rest: POST /order place"
        assert steps[9]["detail"] == {
            "body": f'{{"salt":{salt_of(RAIN)},"owner":"key:1f"}}',
            "stamped_at": "2026-11-18T11:06:41.002000000Z",
        }
        assert (steps[12]["source"], steps[12]["target"]) == ("polymarket:main", "stream")
        assert steps[11]["detail"] == {
            "evidence": "place_answer",
            "seen": "live",
            "seen_at": "2026-11-18T11:06:41.050000000Z",
        }

    def test_says_the_same_to_people(self, store: Path) -> None:
        said = words(run("trace", "rain-1", "--store", store).stdout)
        assert said[:4] == [
            "intent rain-1 of strategy weather",
            f"{RAIN} cancelled, 4 of 10 filled, 0 open",
            f"at the venue {RAIN_AT_VENUE}",
            "from 2026-11-18 11:06:41.000 UTC",
        ]
        wish = "buy 10 polymarket:rain:Yes at 0.55 or better, until 2026-11-18 12:06:40.000 UTC"
        assert said[4] == f"+0.000000 #6/1 intent rain-1 accepted: {wish}"
        assert "+0.002000 #9/1 gateway → polymarket:main: rest: POST /order place" in said
        assert "··· nothing of it for 2.7 s" in said
        assert said[-1] == "+9.053000 #22/1 terminal report of intent rain-1: cancelled, filled 4"

    def test_detail_shows_evidence_and_bytes(self, store: Path) -> None:
        said = words(run("trace", RAIN, "--store", store, "--detail").stdout)
        assert "evidence: cancel_answer" in said
        assert f'body: {{"orderID":"{RAIN_AT_VENUE}"}}' in said

    @pytest.mark.parametrize(
        ("name", "orders"),
        [
            (RAIN, [RAIN]),
            (RAIN_AT_VENUE, [RAIN]),
            ("rain-1", [RAIN]),
            ("weather/rain-1", [RAIN]),
            ("rain", [RAIN]),
            ("0x77", [LONG]),
            ("pair-1.1", [SHORT]),
            ("pair-1", [LONG, SHORT]),
        ],
    )
    def test_an_order_has_many_names(self, store: Path, name: str, orders: list[str]) -> None:
        document = run_json("trace", name, "--store", store)
        assert [order["client_order_id"] for order in document["orders"]] == orders

    def test_a_name_of_several_lists_them(self, store: Path) -> None:
        result = run("trace", "0x", "--store", store, code=44)
        assert (
            result.stderr == f"tallystick: '0x' may be 2 things: {', '.join(sorted([RAIN, LONG]))}. Give more of it.\n"
        )
        assert result.stdout == ""

    @pytest.mark.parametrize("name", ["nothing", ""])
    def test_a_name_of_nothing_is_refused(self, store: Path, name: str) -> None:
        result = run("trace", name, "--store", store, code=44)
        assert "the journal knows no order or intent" in result.stderr

    def test_a_refused_intent_shows_its_refusal(self, store: Path) -> None:
        document = run_json("trace", "rain-2", "--store", store)
        assert document["orders"] == []
        assert [step["text"] for step in document["steps"]] == [
            "intent rain-2 refused at the gate price_band: price is 0.99; allowed is 0.6"
        ]

    def test_an_unanswered_order_shows_the_alert_that_names_it(self, store: Path) -> None:
        document = run_json("trace", LONG_AT_VENUE, "--store", store, "--gap-seconds", "60")
        assert [(step["lsn"], step["kind"]) for step in document["steps"]] == [
            (27, "intent_accepted"),
            (28, "slice_computed"),
            (30, "order_submitted"),
            (31, "request"),
            (32, "answer"),
            (33, "order_unconfirmed"),
            (38, "alert_opened"),
            (39, "alert_closed"),
        ]

    def test_bytes_that_were_signed_are_named_by_their_digest_alone(self, store: Path) -> None:
        steps = {step["lsn"]: step for step in run_json("trace", RAIN, "--store", store)["steps"]}
        assert list(steps[8]["detail"]) == ["bytes", "sha256"]


class TestTimeline:
    def test_tells_everything_of_a_strategy_across_restarts(self, store: Path) -> None:
        document = run_json("timeline", "weather", "--store", store, "--gap-seconds", "60")
        assert document["strategy"] == "weather"
        assert [(step["lsn"], step["kind"]) for step in document["steps"]] == [
            (6, "intent_accepted"),
            (7, "slice_computed"),
            (8, "order_submitted"),
            (11, "order_acknowledged"),
            (13, "fill_recorded"),
            (14, "fill_settled"),
            (15, "cancel_requested"),
            (20, "cancel_answered"),
            (21, "order_done"),
            (22, "intent_ended"),
            (23, "intent_refused"),
            (24, "runtime_stopped"),
            (None, "gap"),
            (25, "runtime_started"),
            (26, "account_changed"),
            (27, "intent_accepted"),
            (28, "slice_computed"),
            (29, "slice_computed"),
            (30, "order_submitted"),
            (33, "order_unconfirmed"),
            (36, "alert_opened"),
            (37, "strategy_paused"),
            (38, "alert_opened"),
            (39, "alert_closed"),
            (42, "stream_gap"),
            (43, "reconciliation_ended"),
        ]
        gap = document["steps"][12]
        assert gap["text"] == "another run: epoch 1 → 2"
        assert document["steps"][13]["after_seconds"] == "19.000000000"
        assert document["steps"][13]["since_previous_seconds"] == "8.000000000"

    def test_says_it_in_words(self, store: Path) -> None:
        said = words(run("timeline", "weather", "--store", store).stdout)
        assert said[0] == "strategy weather"
        assert f"+3.000000 #14/1 trade t-1 is confirmed in 0xabc [{RAIN}]" in said
        assert "··· nothing of it for 8.0 s, another run: epoch 1 → 2" in said
        order = "sell_short (as a buy) 12.5 polymarket:rain:No at 0.6 gtc"
        place = "(leg 1, slice 0, attempt 0; purchase of the complement)"
        by = "to be sent by 2026-11-18 11:07:07.000"
        assert f"+21.000000 #29/2 slice computed: {order} {place}; {by} [{SHORT}]" in said

    def test_holds_nothing_of_another_strategy(self, store: Path) -> None:
        kinds = [step["kind"] for step in run_json("timeline", "coast", "--store", store)["steps"]]
        assert kinds[0] == "fill_recorded"
        assert "intent_accepted" not in kinds

    def test_of_a_strategy_that_never_was_is_refused(self, store: Path) -> None:
        result = run("timeline", "wether", "--store", store, code=44)
        assert result.stderr == "tallystick: the journal knows no strategy 'wether'; tallystick status lists them\n"

    def test_a_strangers_text_cannot_command_the_terminal(self, store: Path) -> None:
        result = run("timeline", "weather", "--store", store)
        assert "\x1b" not in result.stdout
        assert r"\x1b[31mthe peer closed" in result.stdout


class TestAnswersWithoutAnId:
    """A refusal names no order: it belongs to the oldest request of the same summary that is not answered yet."""

    MINE = ClientOrderId("mine.0.0.0-00000000")
    MINE_AT_VENUE = VenueOrderId("0xaaaa")

    def found(self, *exchanges: tuple[Direction, str]) -> list[tuple[int, bool]]:
        ours = Exchanges([self.MINE], [self.MINE_AT_VENUE])
        result: list[tuple[int, bool]] = []
        for place, (way, body) in enumerate(exchanges, 1):
            record = audit(way, "POST /order place", body, seconds=place)
            entry = Entry(lsn=Lsn(place), epoch=1, at_ns=place, cause=0, event=record)
            result += [
                (found.entry.lsn, "it may be another's" in found.told.text) for found in ours.take(entry, record)
            ]
        return result

    def test_belong_to_the_one_request_under_way(self) -> None:
        sent, received = Direction.SENT, Direction.RECEIVED
        assert self.found((sent, self.MINE), (received, "not enough balance")) == [(1, False), (2, False)]

    def test_are_doubted_when_several_were_under_way(self) -> None:
        sent, received = Direction.SENT, Direction.RECEIVED
        exchanges = ((sent, self.MINE), (sent, "another"), (received, "busy"), (received, "busy"))
        assert self.found(*exchanges) == [(1, False), (3, True)]

    def test_never_take_the_place_of_one_that_has_an_id(self) -> None:
        sent, received = Direction.SENT, Direction.RECEIVED
        exchanges = ((sent, "another"), (sent, self.MINE), (received, self.MINE_AT_VENUE), (received, "busy"))
        assert self.found(*exchanges) == [(2, False), (3, False)]

    def test_are_never_doubted_where_requests_are_numbered(self) -> None:
        ours = Exchanges([self.MINE], [self.MINE_AT_VENUE])
        records = [
            audit(Direction.SENT, "POST /order place #1", self.MINE, seconds=1),
            audit(Direction.SENT, "POST /order place #2", "another", seconds=2),
            audit(Direction.RECEIVED, "POST /order place #2 → 503", "busy", seconds=3),
            audit(Direction.RECEIVED, "POST /order place #1 → no answer", "busy", seconds=4),
        ]
        entries = [
            Entry(lsn=Lsn(place), epoch=1, at_ns=place, cause=0, event=record)
            for place, record in enumerate(records, 1)
        ]
        found = [part for entry, record in zip(entries, records, strict=True) for part in ours.take(entry, record)]
        assert [(part.entry.lsn, part.told.text) for part in found] == [
            (1, "rest: POST /order place #1"),
            (4, "rest: POST /order place #1 → no answer"),
        ]

    def test_an_answer_brings_in_its_request(self) -> None:
        sent, received = Direction.SENT, Direction.RECEIVED
        assert self.found((sent, "list all"), (received, self.MINE_AT_VENUE)) == [(1, False), (2, False)]

    def test_a_frame_that_nobody_asked_for_stands_alone(self) -> None:
        received = Direction.RECEIVED
        assert self.found((received, "another"), (received, self.MINE_AT_VENUE)) == [(2, False)]
