"""A strategy host with threads: hand in one intent, follow it to its end, look at the position.

tallystick sim polymarket --port 8137                               # in another terminal: the venue
DEMO_PRIVATE_KEY=0x$(openssl rand -hex 32) python docs/examples/embed.py config/demo.toml
"""

# ruff: noqa: T201 - an example prints
import sys
from decimal import Decimal

import tallystick
from tallystick import AccountId, InstrumentId, Intent, IntentId, Price, Quantity, Side, StrategyName

RAIN = InstrumentId("polymarket:will-it-rain-in-lisbon-this-week:Yes")

with tallystick.open(sys.argv[1]) as host:
    host.wait_live(timeout_seconds=30)
    intent = Intent(
        intent_id=IntentId(f"embedded-{host.now_ns()}"),  # yours to choose; the same intent again is worked once
        strategy=StrategyName("demo"),
        account=AccountId("polymarket:main"),
        instrument=RAIN,
        side=Side.BUY,
        quantity=Quantity(Decimal(25)),
        limit_price=Price(Decimal("0.41")),
        expires_at_ns=host.now_ns() + 10 * 10**9,
    )
    ticket = host.submit(intent)  # durable when this returns; IntentRejected names the gate and its numbers
    for report in ticket.follow():  # in order, and each durable before it is seen
        print(report.number, report.kind, report.text)
    position = host.read(lambda ledger: ledger.positions.get((StrategyName("demo"), RAIN)))
    print("position:", 0 if position is None else position.matched)
