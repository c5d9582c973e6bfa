"""Conversations with the venue for actors whose work is a sequence of requests (sweeps, comparisons).

A task of the actor awaits `request`; the answer comes back through the actor's mailbox like any other message, so it
is traced, and a gateway that was restarted meanwhile shows as a failure and not as silence for ever.
"""

from collections.abc import Sequence

import trio

from ..model.identifiers import AccountId
from ..venues.port import Reply, Request, TransportFailure
from .context import Context, Paths, TradingActor
from .kernel import handles
from .messages import Exchange, Exchanged

HANGS_AFTER_SECONDS = 300.0
"""A sweep or a comparison that has not ended by then is told with its stack: each of its requests has a timeout."""


class _Box:
    def __init__(self) -> None:
        self.arrived = trio.Event()
        self.reply: Reply | None = None


class ConversingActor(TradingActor):
    """An actor whose tasks talk to one account's venue."""

    def __init__(self, context: Context, account: AccountId) -> None:
        super().__init__(context)
        self.account = account
        self.settings = context.accounts[account]
        self.dialect = context.dialects[account]
        self._waiting: dict[int, _Box] = {}
        self._numbers = 0

    async def request(self, request: Request) -> Reply:
        """Send through the gateway and await the answer, or a `TransportFailure` when none can come any more."""
        self._numbers += 1
        number = self._numbers
        box = self._waiting[number] = _Box()
        after = self.context.recorder.journal.last_lsn
        exchange = Exchange(request=request, reply_to=self.actor_ref, tag=number, after=after)
        self.context.tell(Paths.connection(self.account, "gateway"), exchange)
        patience_seconds = self.settings.gateway.timeout_seconds * 3
        try:
            with trio.move_on_after(patience_seconds):
                await box.arrived.wait()
        finally:
            self._waiting.pop(number, None)
        if box.reply is None:
            why = f"the gateway gave no answer within {patience_seconds} s"
            return TransportFailure(why=why, sent=True, at_ns=self.now_ns())
        return box.reply

    async def requests(self, requests: Sequence[Request]) -> list[Reply]:
        """Several requests at the same time; answers in the order of the requests."""
        replies: dict[int, Reply] = {}

        async def one(place: int, request: Request) -> None:
            replies[place] = await self.request(request)

        async with trio.open_nursery() as nursery:
            for place, request in enumerate(requests):
                nursery.start_soon(one, place, request)
        return [replies[place] for place in range(len(requests))]

    @handles(Exchanged)
    def _exchanged(self, message: Exchanged) -> None:
        assert isinstance(message.tag, int)
        box = self._waiting.get(message.tag)
        if box is not None:
            box.reply = message.reply
            box.arrived.set()
