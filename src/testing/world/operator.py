"""The operator of a world: looks at what is open now and then, and does what only a person may (law L3).

He has what a person has: the runtime's alerts, and the venue's own word on what is in its books. He gives his commands
through the runtime, so that each is journalled with its author, and he is refused like anybody.
"""

import itertools

import trio

from ...actors.operator import CommandRefused
from ...control.operations import NotAnswered, NotTaken
from ...model.alert import AlertKind
from ...model.identifiers import ClientOrderId, CommandId
from ...model.operator import AdoptHolding, Command, EndOrder, Operator, ResolveAlert, ResumeStrategy
from ...model.order import Acknowledged, Sent
from ...runtime import RuntimeEnded
from ...store.errors import StoreFailed
from .world import World

PERSON = Operator(uid=1_000, user="operator")
LOOK_SECONDS = 15.0
"""How often he looks."""
QUARANTINED = "quarantined:"
PATIENCE_SECONDS = 60.0
"""How long after the last fault he believes the venue that an order is not in its books, and none is on its way."""


class Person:
    """One operator. `healed_at` is when he was told that the venue is well again, in seconds of the world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.healed_at: float | None = None
        self.commands = 0
        """How many of his commands were carried out."""
        self._numbers = itertools.count(1)

    async def look_after(self) -> None:
        """Look again and again."""
        while True:
            await trio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Look once, and do what there is to do."""
        world = self.world
        if world.is_running and self._is_well_for(0.0) and self._wants_a_restart():
            await world.stop()  # whoever keeps the world starts it again
            return
        for command, note in self._needed() if world.is_live() else ():
            if not world.is_running or world.died.is_set():
                return
            number = CommandId(f"command-{next(self._numbers)}")
            try:
                with trio.move_on_after(LOOK_SECONDS):
                    await world.runtime.operate(command, note=note, command_id=number, operator=PERSON)
                    self.commands += 1
            except (CommandRefused, StoreFailed, RuntimeEnded, NotTaken, NotAnswered):
                continue  # he sees at the next look what has become of it

    def _needed(self) -> list[tuple[Command, str]]:
        world, ledger = self.world, self.world.ledger
        account, strategy = world.rig.account, world.strategy.strategy
        needed: list[tuple[Command, str]] = []
        apart = [asset for (_, asset), truth in ledger.truths.items() if not truth.agree]
        if self._is_well_for(0.0):
            needed += [(AdoptHolding(account=account, asset=asset), "it is ours") for asset in sorted(apart)]
        for alert in list(ledger.alerts.values()):
            if not alert.state.is_open:
                continue
            if alert.kind is AlertKind.SLICE_NEVER_SENT or (alert.kind is AlertKind.DRIFT and not apart):
                needed.append((ResolveAlert(alert_id=alert.alert_id), "looked into"))
        if ledger.strategy(strategy).paused is not None:
            needed.append((ResumeStrategy(strategy=strategy), "looked into"))
        if self._is_well_for(PATIENCE_SECONDS):
            needed += [(EndOrder(client_order_id=order), "the venue says that it never came") for order in self._lost()]
        return needed

    def _wants_a_restart(self) -> bool:
        """Whether a report was put aside that only the next start takes up again, as its alert says."""
        return any(
            alert.alert_id.startswith(QUARANTINED) and alert.state.is_open
            for alert in self.world.ledger.alerts.values()
        )

    def _is_well_for(self, seconds: float) -> bool:
        return self.healed_at is not None and trio.current_time() - self.healed_at >= seconds

    def _lost(self) -> list[ClientOrderId]:
        """Orders that were sent, and that the venue says it has not got."""
        at_venue = {order.venue_order_id for order in self.world.venue.orders()}
        return [
            state.terms.client_order_id
            for state in self.world.ledger.live_orders()
            if isinstance(state, (Sent, Acknowledged)) and state.venue_order_id not in at_venue
        ]
