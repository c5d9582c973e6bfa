"""Asks the venue whether a position still exists before an order that closes it is sent.

One question for all closes of an instrument that wait at that moment, and none for any other order. If the position is
gone no close is invented: the slice is withdrawn, and the recovery sweep finds and books the real exit.
"""

import trio

from ..model.account import SweepTrigger
from ..model.closing import CloseVerdict, close_verdict
from ..model.identifiers import AccountId, AssetId, InstrumentId
from ..model.money import ZERO, SignedQuantity, plain
from ..model.order import Computed
from ..model.report import Holding, HoldingsPage
from ..model.value import Value
from .context import Context
from .kernel import TaskDone, handles
from .messages import OrderRefused, PlaceOrder, Sweep
from .views import ObservingActor

SHARE_OF_SENDING = 0.5
"""The question may take this share of the time within which a slice must be sent; then the order goes by the rule."""


class PositionTold(Value, frozen=True):
    """What the views said of one instrument; None is a view without an answer in time."""

    instrument: InstrumentId
    venue: SignedQuantity | None
    wallet: SignedQuantity | None


class ClosingActor(ObservingActor):
    """An actor that lets closes through when there is something to close."""

    def __init__(self, context: Context, account: AccountId) -> None:
        super().__init__(context, account)
        self.closes: dict[InstrumentId, list[PlaceOrder]] = {}

    def send(self, message: PlaceOrder) -> None:
        """Send an order that may leave. The desk says how."""
        raise NotImplementedError

    def refuse(self, message: PlaceOrder, gate: str, text: str, *, held: bool) -> None:
        order = message.order.terms.client_order_id
        message.leg.tell(OrderRefused(client_order_id=order, gate=gate, message=text, held=held))

    def check_close(self, message: PlaceOrder) -> None:
        """Hold an order that closes a position until the venue has said whether it is there."""
        instrument = message.order.terms.instrument
        waiting = self.closes.setdefault(instrument, [])
        waiting.append(message)
        if len(waiting) == 1:
            self.start_task(self._ask, instrument, name=f"position of {instrument}")

    async def _ask(self, instrument: InstrumentId) -> PositionTold:
        venue: SignedQuantity | None = None
        wallet: SignedQuantity | None = None
        with trio.move_on_after(self.settings.orders.send_within_seconds * SHARE_OF_SENDING):
            venue = await self._at_venue(instrument)
            if venue is not None and not self._covers(instrument, venue):
                wallet = await self._in_wallet(instrument)
        return PositionTold(instrument=instrument, venue=venue, wallet=wallet)

    def _covers(self, instrument: InstrumentId, seen: SignedQuantity) -> bool:
        """Whether all that waits may go by the venue's word alone."""
        book = self.ledger.book(self.account, AssetId(instrument))
        return all(
            close_verdict(
                book,
                waiting.order.terms.quantity,
                venue=seen,
                wallet=None,
                has_wallet=False,
                tolerance=self.ledger.instruments[instrument].drift_tolerance,
                oversell_refused=False,
            )
            is CloseVerdict.SEND
            for waiting in self.closes.get(instrument, ())
        )

    async def _at_venue(self, instrument: InstrumentId) -> SignedQuantity | None:
        request = self.dialect.query_position(instrument)
        if request is None:
            return None
        found = self.dialect.read_position(await self.request(request), instrument)
        return found.quantity if isinstance(found, Holding) else None

    async def _in_wallet(self, instrument: InstrumentId) -> SignedQuantity | None:
        reading = await self.read_wallet((instrument,))
        if not isinstance(reading.page, HoldingsPage):
            return None
        held = [found.quantity for found in reading.page.holdings if found.asset == AssetId(instrument)]
        return held[0] if held else SignedQuantity(ZERO)

    @handles(TaskDone)
    def _asked(self, message: TaskDone) -> None:
        told = message.value
        assert isinstance(told, PositionTold)
        for waiting in self.closes.pop(told.instrument, []):
            self._decide(waiting, told)

    def _decide(self, message: PlaceOrder, told: PositionTold) -> None:
        terms = message.order.terms
        if not isinstance(self.ledger.orders.get(terms.client_order_id), Computed):
            return  # withdrawn meanwhile
        book = self.ledger.book(self.account, AssetId(terms.instrument))
        verdict = close_verdict(
            book,
            terms.quantity,
            venue=told.venue,
            wallet=told.wallet,
            has_wallet=self.dialect.capabilities.wallet_view,
            tolerance=self.ledger.instruments[terms.instrument].drift_tolerance,
            oversell_refused=self.dialect.capabilities.oversell_refused,
        )
        if verdict is CloseVerdict.SEND:
            self.send(message)
            return
        views = f"venue {_shown(told.venue)}, wallet {_shown(told.wallet)}, book {plain(book.matched)}"
        if verdict is CloseVerdict.UNCONFIRMED:
            text = f"nobody can say whether {terms.instrument} is still held ({views}); it is asked again"
            self.refuse(message, "position_unconfirmed", text, held=True)
            return
        text = f"{terms.instrument} is not there to be closed by {plain(terms.quantity)} ({views})"
        self.refuse(message, "position_gone", text, held=False)
        self.actor_ref.tell(Sweep(trigger=SweepTrigger.CLOSE_REFUSED, detail=text))


def _shown(seen: SignedQuantity | None) -> str:
    return "no answer" if seen is None else plain(seen)
