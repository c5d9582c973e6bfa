"""What a venue dialect offers. Sans-I/O: commands become request values, bytes become reports.

A dialect opens no socket, reads no clock and draws no random number; the gateway and stream actors do, and hand
everything in. So a parser is tested from a file, fuzzed in a loop, and mirrored by a simulated server. Every
`read_*` takes whatever arrived (or the failure that did) and always returns a value: a decoder never raises on
what a venue sent.
"""

from collections.abc import Sequence
from typing import Protocol

from ..model.fill import Direction, Liquidity
from ..model.identifiers import AccountId, AssetId, InstrumentId, VenueName, VenueOrderId
from ..model.instrument import Instrument
from ..model.intent import Side, TimeInForce
from ..model.money import Cash, Price, Quantity
from ..model.order import OrderTerms
from ..model.outcome import CancelOutcome, PlaceOutcome
from ..model.report import (
    ExecutionPage,
    Holding,
    HoldingsPage,
    InstrumentPage,
    OrderNotFound,
    OrderPage,
    OrderReport,
    PrivateReport,
    PublicReport,
    Unreadable,
)
from ..model.transfer import LedgerPosition, TransferPage
from ..model.value import Value


class Request(Value, frozen=True):
    """One HTTP request, complete but for its authentication.

    `service` names which of the venue's addresses it goes to (`clob`, `data`, `chain`, …); `quota` the rate limit
    it is charged to; `private` whether it belongs into the audit chain. `body` are the exact bytes: what is
    journalled is what is sent. `label` is for people and traces.
    """

    label: str
    service: str
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    quota: str = "general"
    private: bool = True
    authenticated: bool = True
    cancels: bool = False
    """Cancels and recovery draw on the reserved share of the quota."""


class Answer(Value, frozen=True):
    """What came back: status, header fields (names in lower case) and body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    received_at_ns: int


class TransportFailure(Value, frozen=True):
    """No answer. `sent` says whether any byte may have left: if not, nothing can have happened at the venue."""

    why: str
    sent: bool
    at_ns: int


Reply = Answer | TransportFailure


class RateLimit(Value, frozen=True):
    """`requests` within a sliding window of `window_seconds`, for all requests that name this quota."""

    quota: str
    requests: int
    window_seconds: float


class Capabilities(Value, frozen=True):
    """What the venue itself can do; what it cannot, the runtime does or refuses."""

    time_in_force: tuple[TimeInForce, ...]
    post_only: bool
    amend: bool
    batch_maximum: int
    query_by_client_id: bool
    order_id_known_before_sending: bool
    duplicates_refused_by_venue: bool
    """Sending the same bytes twice makes one order: the venue recognises them."""
    stream_sequence_numbers: bool
    dead_man_switch_seconds: float | None
    settles_after_match: bool
    wallet_view: bool
    oversell_refused: bool
    """The venue itself refuses a sale of more than is held, so that a close can never open the other side."""
    gtd_margin_seconds: int = 0
    """The venue ends a GTD order this much before its stamp."""


class PreparedOrder(Value, frozen=True):
    """A signed order: its id at the venue, known before sending, and the request that carries it."""

    venue_order_id: VenueOrderId
    request: Request


class Expression(Value, frozen=True):
    """How a meaning (side, instrument, price) is written on this venue's wire; `note` says so when it differs."""

    instrument: InstrumentId
    direction: Direction
    price: Price
    note: str = ""


class CannotExpress(Exception):
    """The venue cannot be asked for this without changing what was meant; the message says why."""


class FrameOut(Value, frozen=True):
    """A websocket text to send; `redacted` is what may be shown and audited in its place."""

    text: str
    redacted: str

    def __repr__(self) -> str:
        return f"FrameOut({self.redacted!r})"


class Dialect(Protocol):
    """One account's view of one venue. Holds the account's credentials and never shows them."""

    @property
    def venue(self) -> VenueName: ...
    @property
    def account(self) -> AccountId: ...
    @property
    def capabilities(self) -> Capabilities: ...
    @property
    def rate_limits(self) -> tuple[RateLimit, ...]: ...
    @property
    def settlement_asset(self) -> AssetId: ...
    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that must never be seen outside; the audit chain redacts them from whatever it records."""
        ...

    # -- catalogue ------------------------------------------------------------------------------------------

    def learn(self, instruments: Sequence[Instrument]) -> None:
        """Take instruments into the dialect's tables, so that symbols on the wire can be read."""
        ...

    def list_instruments(self, markets: Sequence[str], cursor: str | None) -> Request: ...
    def read_instruments(self, reply: Reply) -> InstrumentPage | Unreadable: ...

    # -- authentication -------------------------------------------------------------------------------------

    def authenticate(self, request: Request, now_ns: int) -> tuple[tuple[str, str], ...]:
        """Header fields for this request, stamped now. Made anew for every sending; the body never is."""
        ...

    def log_in(self, now_ns: int) -> Request | None:
        """A request that obtains session credentials where the account has none yet, else None."""
        ...

    def read_log_in(self, reply: Reply) -> Unreadable | None:
        """Takes the credentials out of the answer; None means that the dialect can now authenticate."""
        ...

    def server_time(self) -> Request: ...
    def read_server_time(self, reply: Reply) -> int | Unreadable:
        """The venue's clock in UTC nanoseconds."""
        ...

    # -- orders ---------------------------------------------------------------------------------------------

    def express(self, side: Side, instrument: Instrument, price: Price, held: Quantity) -> Expression:
        """How to write this meaning on the wire, given how much of the instrument is held. Raises CannotExpress."""
        ...

    def prepare(self, terms: OrderTerms, instrument: Instrument, now_ns: int) -> PreparedOrder:
        """Sign the order. A pure function of its arguments and the account's key. Raises CannotExpress."""
        ...

    def resend(self, body: bytes) -> Request:
        """The request that sends journalled bytes again, unchanged."""
        ...

    def read_place(self, reply: Reply, venue_order_id: VenueOrderId) -> PlaceOutcome: ...

    def cancel(self, venue_order_id: VenueOrderId) -> Request: ...
    def read_cancel(self, reply: Reply, venue_order_id: VenueOrderId) -> CancelOutcome: ...
    def cancel_all(self) -> Request: ...

    def query_order(self, venue_order_id: VenueOrderId) -> Request: ...
    def read_order(self, reply: Reply, venue_order_id: VenueOrderId) -> OrderReport | OrderNotFound | Unreadable: ...

    def list_open_orders(self, cursor: str | None) -> Request: ...
    def read_open_orders(self, reply: Reply) -> OrderPage | Unreadable: ...

    # -- executions and holdings ----------------------------------------------------------------------------

    def list_executions(self, since_ns: int, cursor: str | None, *, instrument: InstrumentId | None = None) -> Request:
        """A page of executions since a moment; with an instrument, at least all of that one."""
        ...

    def read_executions(self, reply: Reply) -> ExecutionPage | Unreadable: ...

    def fee(self, instrument: Instrument, price: Price, quantity: Quantity, liquidity: Liquidity) -> Cash | None:
        """The fee by the venue's published rule, or None where none is published."""
        ...

    def list_holdings(self, instruments: Sequence[InstrumentId], cursor: str | None) -> Sequence[Request]:
        """The requests that together show the venue's view of cash and positions."""
        ...

    def read_holdings(self, replies: Sequence[Reply]) -> HoldingsPage | Unreadable: ...

    def query_position(self, instrument: InstrumentId) -> Request | None:
        """One request that tells what the venue says is held of an instrument, asked before a close is sent.

        None where the venue has no such question; then a close is sent unasked.
        """
        ...

    def read_position(self, reply: Reply, instrument: InstrumentId) -> Holding | Unreadable: ...

    # -- the wallet on chain, where there is one ------------------------------------------------------------

    def wallet_head(self) -> Request | None:
        """Asks for the block to read at (and the chain's identity); None where there is no wallet view."""
        ...

    def wallet_balances(self, head: Reply, instruments: Sequence[InstrumentId]) -> Request | Unreadable:
        """Balances of all these instruments and of cash, pinned to the block that `head` names."""
        ...

    def read_wallet(
        self, head: Reply, balances: Reply, instruments: Sequence[InstrumentId]
    ) -> HoldingsPage | Unreadable: ...

    def ledger_position(self, head: Reply) -> LedgerPosition | Unreadable | None:
        """Where the ledger stands at `head`, to begin reading transfers from; None where there is no such ledger."""
        ...

    def list_transfers(self, head: Reply, after: LedgerPosition) -> Request | Unreadable | None:
        """What moved behind a position, up to the block that `head` names; None where nothing can be new."""
        ...

    def read_transfers(self, head: Reply, reply: Reply, after: LedgerPosition) -> TransferPage | Unreadable: ...

    # -- staying alive --------------------------------------------------------------------------------------

    def heartbeat(self, token: str) -> Request | None:
        """Refreshes the venue's dead-man switch; `token` is what the last answer gave ("" at the start)."""
        ...

    def read_heartbeat(self, reply: Reply) -> str | Unreadable:
        """The next token. A mismatch that names the expected token returns that token."""
        ...

    # -- streams --------------------------------------------------------------------------------------------

    def private_stream(self) -> tuple[str, Sequence[FrameOut]]:
        """(service name of the address, frames to send after connecting)."""
        ...

    def public_stream(self, instruments: Sequence[InstrumentId]) -> tuple[str, Sequence[FrameOut]]: ...

    def stream_ping(self) -> tuple[FrameOut, float] | None:
        """(frame, interval in seconds) that keeps a stream open, or None where the protocol's own ping does."""
        ...

    def read_private_frame(self, frame: str | bytes, received_at_ns: int) -> Sequence[PrivateReport]: ...
    def read_public_frame(self, frame: str | bytes, received_at_ns: int) -> Sequence[PublicReport]: ...

    # -- secrecy --------------------------------------------------------------------------------------------

    def redact(self, content: bytes) -> bytes:
        """The content with everything secret replaced, for audit, logs and traces."""
        ...
