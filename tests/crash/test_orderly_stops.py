"""SIGTERM in the middle of things: everything until then is durable, and the next start goes on."""

import signal

from tallystick.console.exit_codes import ExitCode
from tallystick.model.event import BracketDecided, RuntimeStopped

from .host import Host
from .stage import ASK, INSIDE, Stage, pair, single


def test_a_stop_in_the_middle_of_a_bracket_leaves_its_orders_and_the_next_start_decides_once(played: Stage) -> None:
    host = Host(played)
    life = host.begin()
    life.until_live()
    host.intents["both-or-neither"] = line = pair("both-or-neither", seconds=3, long=ASK, short=INSIDE)
    life.hand_in(line)
    life.until(kind="fill")
    life.until(kind="order", leg=1, outcome="sent")
    life.signal(signal.SIGTERM)
    assert life.ends() == ExitCode.OK, life.log
    assert "orders stay open at the venue; the next start takes them up again" in life.log
    host.bury(life)
    assert isinstance(host.record.life[-1], RuntimeStopped)
    assert sorted(order.status for order in played.orders()) == ["LIVE", "MATCHED"]
    life = host.begin()
    life.hand_in(line)
    assert life.until(kind="ended")["outcome"] == "one_side"
    assert life.kill() == -signal.SIGKILL
    host.bury(life)
    assert sum(isinstance(event, BracketDecided) for event in host.record.life) == 1
    host.finish()


def test_a_stop_that_cancels_waits_for_the_outcomes(played: Stage) -> None:
    host = Host(played)
    host.intents["pair"] = pair("pair", seconds=60, long=ASK, short=INSIDE)
    host.intents["rests"] = single("rests", seconds=60)
    life = host.begin("--on-stop", "cancel")
    life.hand_in(*host.intents.values())
    life.until(kind="fill")
    life.until(kind="order", intent_id="rests", outcome="sent")
    life.signal(signal.SIGTERM)
    assert life.ends() == ExitCode.OK, life.log
    host.bury(life)
    assert host.over == {"pair": "one_side", "rests": "unfilled"}
    assert not [order for order in played.orders() if order.status == "LIVE"]
    host.finish()


def test_a_second_signal_ends_at_once_and_loses_nothing(played: Stage) -> None:
    host = Host(played)
    life = host.begin("--on-stop", "cancel")
    life.until_live()
    host.intents["rests"] = single("rests", seconds=3)
    life.hand_in(host.intents["rests"])
    life.until(kind="order", outcome="sent")
    life.signal(signal.SIGTERM)
    life.signal(signal.SIGTERM)
    assert life.ends() in {-signal.SIGTERM, ExitCode.OK}, life.log
    host.bury(life)
    host.finish()
