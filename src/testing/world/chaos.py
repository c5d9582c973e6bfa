"""Chaos by hand: break something in a world, heal it, and wait until everything has come to rest under the laws.

    await chaos.strike(LoseConnections())
    await chaos.strike(DropReport(told=Told.FILL, count=1))
    await chaos.converge()

A runtime that was killed is started again by `converge`, or before that with `world.start()`.
"""

from random import Random

from ...actors.ticket import Ticket, TicketClosed
from .applying import Applied, apply
from .faults import AnyFault
from .laws import Guard
from .life import CONVERGE_SECONDS
from .world import World


class Chaos:
    """What a test does to its world. The laws are watched from the start (`guard`)."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.guard = Guard(world)
        self.applied: list[Applied] = []
        """Every fault that was brought about, with how often it has bitten."""
        self._random = Random(f"chaos {world.seed}")

    async def strike(self, fault: AnyFault) -> Applied:
        """Bring a fault about now; what it leaves open (which connection, which order) the seed decides."""
        if self.world.is_running:
            self.world.crashes_expected = True
        found = await apply(fault, self.world, self._random)
        self.applied.append(found)
        return found

    async def follow(self, ticket: Ticket) -> None:
        """Read every report of a ticket to its end, as a host does, and judge each in the moment it is read."""
        try:
            async for report in ticket:
                self.guard.hear(report)
        except TicketClosed:
            pass  # its runtime ended: the next one has another

    def heal(self) -> None:
        """End whatever lasts; what is broken by now the runtime must notice itself."""
        for applied in self.applied:
            applied.end()
        self.world.heal()

    async def converge(self, *, seconds: float = CONVERGE_SECONDS) -> None:
        """Heal, start the runtime if none runs, wait until all is at rest, and hold everything against the laws.

        Raises AssertionError where it does not come to rest in time, and `LawBroken`.
        """
        self.heal()
        if self.world.died.is_set():
            await self.world.bury()
        if not self.world.is_running:
            await self.world.start()
        await self.world.converged(seconds=seconds)
        self.guard.settled()
        self.guard.check()

    async def end(self) -> None:
        """Stop the runtime in order, and judge what is left. Raises `LawBroken`."""
        if self.world.is_running:
            await self.world.stop()
        await self.guard.stopped()
        self.guard.check()
