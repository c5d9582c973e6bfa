"""What status, orders, positions, truth and alerts say of a scripted store, in JSON and in words."""

from pathlib import Path

import pytest

from .kit import (
    ACCOUNT,
    FIRST_RUN,
    LONG,
    LONG_AT_VENUE,
    NO,
    NOON,
    RAIN,
    RAIN_AT_VENUE,
    SHORT,
    YES,
    make_store,
    run,
    run_json,
    words,
)


class TestStatus:
    def test_puts_the_whole_runtime_into_one_document(self, store: Path) -> None:
        assert run_json("status", store) == {
            "store": str(store),
            "running": False,
            "owner": None,
            "build": "0.1.0",
            "starts": 2,
            "stopped": None,
            "epoch": 2,
            "first_lsn": 1,
            "last_lsn": 43,
            "last_event_at": "2026-11-18T11:07:20.000000000Z",
            "audit_records": 9,
            "halted": None,
            "accounts": [
                {
                    "account": ACCOUNT,
                    "state": "live",
                    "reason": "reconciled",
                    "halted": None,
                    "opened": True,
                    "fill_reports": 4,
                    "stream_gaps": 1,
                    "reconciled_at": "2026-11-18T11:07:19.250000000Z",
                    "reconciliation_complete": False,
                    "reconciliation_why": "GET /data/trades answered 503",
                }
            ],
            "strategies": [
                {
                    "strategy": "weather",
                    "paused": "drift of polymarket:rain:Yes",
                    "active": 1,
                    "accepted": 2,
                    "refused": 1,
                    "ended": 1,
                }
            ],
            "orders": {
                "computed": 1,
                "sent": 1,
                "acknowledged": 0,
                "done": 1,
                "withdrawn": 0,
                "unconfirmed": 1,
                "cancelling": 0,
            },
            "fills_unsettled": 0,
            "alerts_open": {"critical": 1, "warning": 0, "info": 0},
        }

    def test_says_the_same_to_people(self, store: Path) -> None:
        said = words(run("status", store).stdout)
        assert "runtime not running: the last run did not say that it stopped" in said
        assert "journal LSN 1 to 43, epoch 2, 2 starts" in said
        assert "orders 1 computed, 1 sent, 1 done" in said
        assert "of these 1 unconfirmed" in said
        assert "weather PAUSED: drift of polymarket:rain:Yes 1 2 1 1" in said
        assert said[-1] == "weather PAUSED: drift of polymarket:rain:Yes 1 2 1 1"

    def test_tells_a_clean_stop_from_an_end_without_one(self, tmp_path: Path) -> None:
        first = make_store(tmp_path / "first", FIRST_RUN)
        assert run_json("status", first)["stopped"] == "asked to stop"
        assert "runtime stopped: asked to stop" in words(run("status", first).stdout)

    def test_of_an_empty_store_says_that_nothing_ran(self, tmp_path: Path) -> None:
        said = words(run("status", make_store(tmp_path / "empty", [])).stdout)
        assert "runtime never started" in said
        assert said[-3:] == ["none yet", "Strategies", "none yet"]


class TestWhereTheStoreIs:
    def test_the_store_may_come_from_the_environment(self, store: Path) -> None:
        assert run("status", TALLYSTICK_STORE=str(store)).stdout == run("status", store).stdout

    def test_an_argument_goes_before_the_environment(self, store: Path) -> None:
        assert run("status", store, TALLYSTICK_STORE="/nowhere").exit_code == 0

    def test_a_configuration_file_names_its_store(self, store: Path, tmp_path: Path) -> None:
        file = tmp_path / "desk.toml"
        market = "0x" + "5f" * 32
        file.write_text(
            f'[runtime]\nstore = "{store}"\n[accounts."polymarket:main"]\nsignature_type = 0\n'
            f'markets = ["{market}"]\ncredentials = {{ environment = "DESK" }}\n'
        )
        assert run_json("orders", file) == run_json("orders", "--store", store)


class TestOrders:
    def test_an_ended_order_shows_its_whole_life(self, store: Path) -> None:
        document = run_json("orders", store, "--intent", "rain-1")
        assert document == {
            "orders": [
                {
                    "client_order_id": RAIN,
                    "venue_order_id": RAIN_AT_VENUE,
                    "strategy": "weather",
                    "account": ACCOUNT,
                    "intent_id": "rain-1",
                    "leg": 0,
                    "slice": 0,
                    "attempt": 0,
                    "purpose": "entry",
                    "instrument": YES,
                    "side": "buy",
                    "direction": "buy",
                    "expressed_as": "",
                    "price": "0.55",
                    "quantity": "10",
                    "time_in_force": "gtc",
                    "post_only": False,
                    "expires_at": "2026-11-18T12:06:40.000000000Z",
                    "state": "done",
                    "outcome": "cancelled",
                    "outcome_detail": "",
                    "filled": "4",
                    "average_price": "0.55",
                    "open": "0",
                    "unconfirmed": False,
                    "knowledge": None,
                    "cancel_requested_at": None,
                    "cancel_reason": "",
                    "computed_at": f"{NOON}41.000000000Z",
                    "send_by": f"{NOON}46.000000000Z",
                    "sent_at": f"{NOON}41.001000000Z",
                    "acknowledged_at": f"{NOON}41.050000000Z",
                    "ended_at": f"{NOON}50.050000000Z",
                    "evidence": {"kind": "cancel_answer", "detail": "canceled", "at": f"{NOON}50.050000000Z"},
                }
            ]
        }

    def test_an_unconfirmed_order_is_open_with_its_reason(self, store: Path) -> None:
        document = run_json("orders", store, "--open")
        assert [row["client_order_id"] for row in document["orders"]] == [LONG, SHORT]
        long, short = document["orders"]
        assert (long["state"], long["open"], long["venue_order_id"]) == ("sent", "10", LONG_AT_VENUE)
        assert long["knowledge"] == {
            "known": False,
            "filled": None,
            "at": "2026-11-18T11:07:12.003000000Z",
            "why": "no answer within 10 s",
        }
        assert (short["state"], short["side"], short["direction"], short["instrument"]) == (
            "computed",
            "sell_short",
            "buy",
            NO,
        )

    @pytest.mark.parametrize(
        ("filters", "count"),
        [
            ((), 3),
            (("--strategy", "weather"), 3),
            (("--strategy", "coast"), 0),
            (("--account", ACCOUNT, "--intent", "pair-1"), 2),
            (("--open", "--intent", "rain-1"), 0),
        ],
    )
    def test_filters_are_all_held(self, store: Path, filters: tuple[str, ...], count: int) -> None:
        assert len(run_json("orders", store, *filters)["orders"]) == count

    @pytest.mark.parametrize("command", ["orders", "positions", "truth", "reconciliations"])
    def test_a_name_that_nobody_has_is_said_and_is_no_empty_table(self, store: Path, command: str) -> None:
        result = run(command, store, "--account", "polymarket:mian", code=44)
        assert result.stdout == ""
        assert f"the journal knows no account 'polymarket:mian'; it knows {ACCOUNT}" in result.stderr

    def test_tables_show_enough_to_trace_by(self, store: Path) -> None:
        said = words(run("orders", store).stdout)
        assert f"{RAIN} {YES} buy 0.55 10 4 0 cancelled 2026-11-18 11:06:41.000 0x3f9a11111111…" in said
        assert any("unconfirmed since 2026-11-18 11:07:12.003: no answer within 10 s" in line for line in said)
        assert words(run("orders", store, "--strategy", "coast").stdout) == ["no orders"]


class TestPositions:
    def test_are_what_the_fills_add_up_to(self, store: Path) -> None:
        document = run_json("positions", store)
        assert document["strategies"][1] == {
            "strategy": "weather",
            "instrument": YES,
            "settlement_asset": "pUSD",
            "matched": "4",
            "confirmed": "4",
            "arriving": "0",
            "leaving": "0",
            "average_cost": "0.55",
            "cost": "2.2",
            "realised": "0",
            "fees": "0.02",
            "fees_other": {},
            "fees_unknown": 0,
            "net": "-0.02",
            "fills": 1,
            "reversed": 0,
        }
        assert document["totals"] == [
            {
                "strategy": "coast",
                "settlement_asset": "pUSD",
                "realised": "0",
                "fees": "0",
                "net": "0",
                "fees_unknown": 0,
            },
            {
                "strategy": "weather",
                "settlement_asset": "pUSD",
                "realised": "0",
                "fees": "0.02",
                "net": "-0.02",
                "fees_unknown": 0,
            },
        ]
        assert document["accounts"] == [
            {
                "account": ACCOUNT,
                "asset": "pUSD",
                "confirmed": "997.78",
                "matched": "997.78",
                "arriving": "0",
                "leaving": "0",
            },
            {"account": ACCOUNT, "asset": YES, "confirmed": "4", "matched": "4", "arriving": "0", "leaving": "0"},
        ]

    def test_a_reversed_fill_is_counted_and_holds_nothing(self, store: Path) -> None:
        coast = run_json("positions", store, "--strategy", "coast")["strategies"]
        assert [(row["matched"], row["fills"], row["reversed"]) for row in coast] == [("0", 1, 1)]
        assert "coast polymarket:rain:Yes 0 0 0 0 0 1 (1 reversed)" in words(run("positions", store).stdout)


class TestTruth:
    def test_shows_three_views_with_their_times_and_what_differs(self, store: Path) -> None:
        document = run_json("truth", store)
        cash, shares = document["comparisons"]
        assert shares == {
            "account": ACCOUNT,
            "asset": YES,
            "book": {"confirmed": "4", "matched": "4", "lowest": "4", "highest": "4"},
            "venue": {
                "state": "seen",
                "quantity": "4",
                "at": "2026-11-18T11:07:12.900000000Z",
                "stamp": "received",
                "why": "",
                "difference": None,
            },
            "wallet": {
                "state": "seen",
                "quantity": "3.5",
                "at": "2026-11-18T11:07:12.800000000Z",
                "stamp": f"block 120 0x{'5f' * 32} (final)",
                "why": "",
                "difference": "-0.5",
            },
            "agree": False,
            "exact": False,
            "tolerance": "0",
            "watermark": 2,
            "fills_since": 2,
            "compared_at": "2026-11-18T11:07:13.000000000Z",
        }
        assert cash["agree"] is None
        assert (cash["venue"]["state"], cash["venue"]["why"]) == ("unavailable", "HTTP 503")
        assert document["uncompared"] == []

    def test_compares_intended_with_actual_for_every_leg(self, store: Path) -> None:
        long, short = run_json("truth", store)["intents"]
        assert long["drift"] == ""
        assert {name: long[name] for name in ("intended", "computed", "sent", "filled", "open", "unsent")} == {
            "intended": "10",
            "computed": "10",
            "sent": "10",
            "filled": "0",
            "open": "10",
            "unsent": "0",
        }
        assert (short["intended"], short["unsent"], short["uncovered"]) == ("12.5", "12.5", "0")
        assert short["drift"] == f"{SHORT} was computed and not sent by 2026-11-18 11:07:07.000"

    def test_shows_ended_intents_when_asked(self, store: Path) -> None:
        rain = run_json("truth", store, "--all")["intents"][0]
        assert (rain["intent_id"], rain["outcome"], rain["filled"], rain["uncovered"]) == (
            "rain-1",
            "cancelled",
            "4",
            "6",
        )

    def test_a_book_that_nothing_was_compared_with_is_shown_as_unconfirmed(self, tmp_path: Path) -> None:
        document = run_json("truth", make_store(tmp_path / "first", FIRST_RUN))
        assert [row["asset"] for row in document["uncompared"]] == ["pUSD", YES]

    def test_says_the_verdict_to_people(self, store: Path) -> None:
        said = words(run("truth", store).stdout)
        assert (
            f"{ACCOUNT} {YES} 4 4 2026-11-18 11:07:12.900 3.5 block 120 0x5f5f5f5f… (final) "
            "DIFFERS wallet by -0.5, 2 fills since" in said
        )
        assert any(line.endswith("unknown (HTTP 503), 2 fills since") for line in said)


class TestAlerts:
    def test_open_ones_come_with_their_evidence(self, store: Path) -> None:
        assert run_json("alerts", store) == {
            "alerts": [
                {
                    "alert_id": "drift:polymarket:main:polymarket:rain:Yes",
                    "kind": "drift",
                    "severity": "critical",
                    "state": "open",
                    "message": "the wallet holds 0.5 less than the book; weather is paused",
                    "diagnosis": "unexplained",
                    "evidence": [{"name": "book", "text": "4"}, {"name": "wallet", "text": "3.5 at block 120"}],
                    "account": ACCOUNT,
                    "strategy": "weather",
                    "instrument": YES,
                    "opened_at": "2026-11-18T11:07:14.000000000Z",
                    "closed_at": None,
                    "closed_by": "",
                    "next_step": (
                        "tallystick reconcile STORE polymarket:main books a missing fill; what has another cause, "
                        "tallystick adopt STORE polymarket:main polymarket:rain:Yes --note …, "
                        "and tallystick resume STORE weather --note … where a strategy is paused"
                    ),
                }
            ]
        }

    def test_closed_ones_come_after_them_when_asked(self, store: Path) -> None:
        found = run_json("alerts", store, "--all")["alerts"]
        assert [(row["state"], row["closed_by"]) for row in found] == [("open", ""), ("resolved", "ada")]
        assert words(run("alerts", store, "--all").stdout)[-1] == "note asked venue"  # a closed one has no next step
