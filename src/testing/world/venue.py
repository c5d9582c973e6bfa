"""What a simulated venue offers to a world, in words that fit every venue.

A new venue joins every world, law and scenario by one `VenueRig` in `rigs.RIGS`. Laws are held against the session's
own books: what the venue knows for sure, without lag and without faults.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Protocol

from ...actors.settings import AccountSettings
from ...model.fill import Direction
from ...model.identifiers import AccountId, AssetId, InstrumentId, TradeId, VenueOrderId
from ...model.value import Value
from ...venues.port import Dialect
from ...venues.sim.server.memory_stream import MemoryStream
from .venue_faults import VenueFault
from .wire import HttpRequest


class VenueOrder(Value, frozen=True):
    """One order of ours in the venue's own books. `filled` counts what reverted on chain, too."""

    venue_order_id: VenueOrderId
    instrument: InstrumentId
    direction: Direction
    price: Decimal
    quantity: Decimal
    filled: Decimal
    is_open: bool


class VenueExecution(Value, frozen=True):
    """One execution of one order of ours in the venue's own books; `reverted` where its settlement failed for good."""

    trade_id: TradeId
    venue_order_id: VenueOrderId
    quantity: Decimal
    reverted: bool
    settled: bool


class VenueSession(Protocol):
    """One simulated venue that is up."""

    def connect(self) -> MemoryStream:
        """A new connection to it; the client's end."""

    def refresh(self) -> None:
        """Bring it to the present and deliver what its streams have to tell."""

    # ---- its own books ------------------------------------------------------------------------------------

    def orders(self) -> Sequence[VenueOrder]:
        """Every order of the account that it ever accepted."""

    def executions(self) -> Sequence[VenueExecution]:
        """Every execution of the account's orders."""

    def holdings(self) -> Mapping[AssetId, Decimal]:
        """What the account holds for sure: on chain where the venue settles there."""

    def has_transaction(self, transaction: str) -> bool:
        """Whether the ledger that the account settles on has this transaction, and it came about."""

    # ---- the other side of every trade --------------------------------------------------------------------

    def place(self, instrument: InstrumentId, direction: Direction, price: Decimal, quantity: Decimal) -> str:
        """Have the crowd place an order; returns its id at the venue."""

    def withdraw_order(self, order_id: str) -> None:
        """Have the crowd cancel an order of its own, if it is still open."""

    def cancel_ours(self, venue_order_id: VenueOrderId) -> None:
        """Have the venue cancel an order of ours by itself."""

    async def trade_by_hand(
        self, instrument: InstrumentId, direction: Direction, price: Decimal, quantity: Decimal
    ) -> VenueOrderId:
        """The account's owner trades past the runtime, with the same key; returns the foreign order's id.

        Raises RuntimeError where the venue, or a fault of it, did not take the order.
        """

    def deposit(self, asset: AssetId, quantity: Decimal) -> None:
        """Bring something into the account from outside."""

    def withdraw(self, asset: AssetId, quantity: Decimal) -> None:
        """Take something out of the account."""

    def settle_all(self) -> None:
        """Bring every settlement under way to its end."""

    # ---- faults -------------------------------------------------------------------------------------------

    def put_on(self, fault: VenueFault) -> Callable[[], int]:
        """Switch a fault on, which ends by its own count or time; returns what tells how often it has bitten."""

    def lift_all(self) -> None:
        """End every fault."""

    def bites(self) -> Mapping[str, int]:
        """How often each kind of fault (by its name) has bitten so far."""


class VenueRig(Protocol):
    """How to stand a simulated venue up, and how a runtime reaches it."""

    @property
    def name(self) -> str: ...

    @property
    def account(self) -> AccountId: ...

    @property
    def settlement_asset(self) -> AssetId: ...

    @property
    def instruments(self) -> tuple[InstrumentId, ...]:
        """At least four, of which the first two belong to no common market."""

    def open(self, *, epoch_ms: int) -> AbstractAsyncContextManager[VenueSession]:
        """Run the venue until the block ends; its unix time is `epoch_ms` now, and follows trio's clock."""

    def settings(self) -> AccountSettings:
        """An account's settings with the defaults, at this venue."""

    def dialect(self) -> Dialect:
        """A new dialect of the account; each start of a runtime has its own."""

    def order_body(self, request: HttpRequest) -> bytes | None:
        """The signed bytes of an order, where this request places one."""

    def cancelled_orders(self, request: HttpRequest) -> Sequence[VenueOrderId]:
        """The orders that this request asks to cancel, none for other requests."""

    def supports(self, fault: VenueFault) -> bool:
        """Whether this venue can have such a fault at all."""
