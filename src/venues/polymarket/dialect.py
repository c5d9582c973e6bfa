"""Polymarket as the runtime speaks to it: the port's methods over this package's parts."""

from collections.abc import Sequence
from decimal import Decimal

from ...model.fill import Execution, Liquidity
from ...model.identifiers import AccountId, AssetId, InstrumentId, VenueName, VenueOrderId
from ...model.instrument import Instrument
from ...model.intent import Side
from ...model.money import Cash, Price, Quantity, SignedQuantity
from ...model.order import OrderTerms
from ...model.outcome import CancelOutcome, PlaceOutcome, PlaceRetry
from ...model.report import (
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
    Unrecognised,
)
from ...model.transfer import LedgerPosition, TransferPage
from ..evm.blocks import Pin, ReadingRefused, check_fresh
from ..port import (
    Answer,
    CannotExpress,
    Capabilities,
    Expression,
    FrameOut,
    PreparedOrder,
    RateLimit,
    Reply,
    Request,
)
from . import (
    answers,
    expression,
    indexer,
    markets,
    public_requests,
    requests,
    subscriptions,
    transfers,
    wallet,
)
from .account import TradingAccount
from .auth import Credentials, CredentialsRefused, key_request_headers
from .contracts import ContractRefused, TokenId, is_v3_position, parse_condition_id
from .errors import unreadable
from .expression import GOOD_TILL_DATE_MARGIN_SECONDS, ORDER_TYPES
from .frames import (
    read_market_frame,
    read_user_frame,
)
from .instruments import SETTLEMENT_ASSET, VENUE, InstrumentTable, instruments_of, token_of
from .ledger import VenueOrder
from .orders import ZERO_BYTES32, ApiKey, OrderHash
from .rate_limits import STANDARD, Tier, rate_limits
from .redaction import fingerprint, redact
from .reports import Reports
from .requests import AssetKind

DEAD_MAN_SECONDS = 10.0

_NANOSECONDS_PER_SECOND = 1_000_000_000
_POSITION_STATUSES = ("OPEN", "REDEEMABLE_LOST")
"""Together everything that is held: winners not yet redeemed are OPEN, losers are only in a listing of their own."""


class PolymarketDialect:
    """One Polymarket account. Implements the venue port; see its documentation for each method."""

    def __init__(
        self,
        account: AccountId,
        trading: TradingAccount,
        *,
        credentials: Credentials | None = None,
        api_key_nonce: int = 0,
        builder: bytes = ZERO_BYTES32,
        tier: Tier = STANDARD,
    ) -> None:
        """Take the account's keys. Without `credentials` they are obtained by logging in with the signer."""
        self._account = account
        self._trading = trading
        self._credentials = credentials
        self._api_key_nonce = api_key_nonce
        self._builder = builder
        self._tier = tier
        self._table = InstrumentTable()
        self._reports = Reports(account, self._table)
        self._key_exists = False
        self._unauthorised: dict[VenueOrderId, int] = {}

    def __repr__(self) -> str:
        return f"PolymarketDialect({self._account}, {self._trading!r})"

    @property
    def venue(self) -> VenueName:
        return VENUE

    @property
    def account(self) -> AccountId:
        return self._account

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            time_in_force=tuple(ORDER_TYPES),
            post_only=True,
            amend=False,
            batch_maximum=requests.BATCH_MAXIMUM,
            query_by_client_id=False,
            order_id_known_before_sending=True,
            duplicates_refused_by_venue=True,
            stream_sequence_numbers=False,
            dead_man_switch_seconds=DEAD_MAN_SECONDS,
            settles_after_match=True,
            wallet_view=True,
            oversell_refused=True,
            gtd_margin_seconds=GOOD_TILL_DATE_MARGIN_SECONDS,
        )

    @property
    def rate_limits(self) -> tuple[RateLimit, ...]:
        return rate_limits(self._tier)

    @property
    def settlement_asset(self) -> AssetId:
        return SETTLEMENT_ASSET

    @property
    def secrets(self) -> tuple[str, ...]:
        # The private key is not among them: it never leaves the signer, so it cannot be in what is recorded.
        return () if self._credentials is None else self._credentials.secrets()

    # -- catalogue ------------------------------------------------------------------------------------------

    def learn(self, instruments: Sequence[Instrument]) -> None:
        self._table.learn(instruments)

    def list_instruments(self, markets: Sequence[str], cursor: str | None) -> Request:
        """Markets are condition ids or slugs, not a mixture; none means everything that is not closed."""
        conditions = [market for market in markets if market[:2].lower() == "0x"]
        if conditions and len(conditions) != len(markets):
            raise CannotExpress("one listing takes markets by condition id or by slug, not both")
        try:
            return public_requests.catalogue(
                conditions=[parse_condition_id(condition) for condition in conditions],
                slugs=[] if conditions else list(markets),
                closed=None if markets else False,
                cursor=cursor,
            )
        except ContractRefused as refused:
            raise CannotExpress(str(refused)) from refused

    def read_instruments(self, reply: Reply) -> InstrumentPage | Unreadable:
        page = markets.read_catalogue_page(reply)
        if isinstance(page, Unreadable):
            return page
        return InstrumentPage(
            instruments=tuple(instrument for market in page.rows for instrument in instruments_of(market)),
            next_cursor=page.next_cursor,
            refused=page.refused,
        )

    # -- authentication -------------------------------------------------------------------------------------

    def authenticate(self, request: Request, now_ns: int) -> tuple[tuple[str, str], ...]:
        """Raises `CannotExpress` before the account has logged in."""
        if not request.authenticated:
            return ()
        now_seconds = now_ns // _NANOSECONDS_PER_SECOND
        creates_key = request.path == requests.CREATE_API_KEY_PATH and request.method == "POST"
        if creates_key or request.path == requests.DERIVE_API_KEY_PATH:
            headers = key_request_headers(
                self._trading.signer,
                chain_id=self._trading.chain_id,
                timestamp_seconds=now_seconds,
                nonce=self._api_key_nonce,
            )
        else:
            headers = self._logged_in().headers(
                address=self._trading.signer.address,
                timestamp_seconds=now_seconds,
                method=request.method,
                path=request.path,
                body=request.body,
            )
        return tuple(headers.items())

    def log_in(self, now_ns: int) -> Request | None:
        """First asks for a new key; where the account has one already, for that one."""
        if self._credentials is not None:
            return None
        return requests.derive_api_key() if self._key_exists else requests.create_api_key()

    def read_log_in(self, reply: Reply) -> Unreadable | None:
        found = answers.read_api_credentials(reply)
        if isinstance(found, Unreadable):
            # A 400 is how the venue says that this account and nonce have a key; the next request derives it.
            self._key_exists = isinstance(reply, Answer) and reply.status == 400
            return found
        try:
            self._credentials = Credentials(api_key=found.api_key, secret=found.secret, passphrase=found.passphrase)
        except CredentialsRefused as refused:
            return Unreadable(why=str(refused))
        return None

    def server_time(self) -> Request:
        return public_requests.server_time()

    def read_server_time(self, reply: Reply) -> int | Unreadable:
        return answers.read_server_time(reply)

    # -- orders ---------------------------------------------------------------------------------------------

    def express(self, side: Side, instrument: Instrument, price: Price, held: Quantity) -> Expression:
        return expression.express(side, instrument, price, held)

    def prepare(self, terms: OrderTerms, instrument: Instrument, now_ns: int) -> PreparedOrder:
        signed, instructions = expression.sign(terms, instrument, self._trading, builder=self._builder, now_ns=now_ns)
        body = requests.placement_body(signed, self._logged_in().api_key, instructions)
        return PreparedOrder(venue_order_id=VenueOrderId(signed.order_hash), request=requests.place(body))

    def resend(self, body: bytes) -> Request:
        return requests.place(body)

    def read_place(self, reply: Reply, venue_order_id: VenueOrderId) -> PlaceOutcome:
        before = self._unauthorised.pop(venue_order_id, 0)
        outcome = answers.read_place(reply, OrderHash(venue_order_id), unauthorised_before=before)
        if isinstance(outcome, PlaceRetry) and outcome.authentication:
            self._unauthorised[venue_order_id] = before + 1
        return outcome

    def cancel(self, venue_order_id: VenueOrderId) -> Request:
        return requests.cancel(OrderHash(venue_order_id))

    def read_cancel(self, reply: Reply, venue_order_id: VenueOrderId) -> CancelOutcome:
        return answers.read_cancel(reply, OrderHash(venue_order_id))

    def cancel_all(self) -> Request:
        return requests.cancel_all()

    def query_order(self, venue_order_id: VenueOrderId) -> Request:
        return requests.order(OrderHash(venue_order_id))

    def read_order(self, reply: Reply, venue_order_id: VenueOrderId) -> OrderReport | OrderNotFound | Unreadable:
        found = answers.read_one_order(reply, OrderHash(venue_order_id))
        if isinstance(found, VenueOrder):
            return self._reports.order(found, _received_at(reply))
        return found

    def list_open_orders(self, cursor: str | None) -> Request:
        return requests.open_orders(cursor=cursor)

    def read_open_orders(self, reply: Reply) -> OrderPage | Unreadable:
        page = answers.read_orders_page(reply)
        if isinstance(page, Unreadable):
            return page
        received_at_ns = _received_at(reply)
        return OrderPage(
            orders=tuple(self._reports.order(order, received_at_ns) for order in page.rows),
            next_cursor=page.next_cursor,
            refused=page.refused,
        )

    # -- executions and holdings ----------------------------------------------------------------------------

    def list_executions(self, since_ns: int, cursor: str | None, *, instrument: InstrumentId | None = None) -> Request:
        """Narrowed by market and not by token: our part of a trade may be in the complement of the trade's token."""
        # Whether `after` includes its own second is not documented; a second earlier costs nothing.
        after_seconds = max(0, since_ns // _NANOSECONDS_PER_SECOND - 1)
        market = None if instrument is None else self._table.market_of(instrument)
        condition = None if market is None else parse_condition_id(market)
        return requests.trades(after_seconds=after_seconds, condition=condition, cursor=cursor)

    def read_executions(self, reply: Reply) -> ExecutionPage | Unreadable:
        page = answers.read_trades_page(reply, api_key=self._api_key(), wallet=self._trading.wallet)
        if isinstance(page, Unreadable):
            return page
        refused = list(page.refused)
        executions: list[Execution] = []
        for trade in page.rows:
            refused.extend(trade.refused)
            for fill in trade.fills:
                execution = self._reports.execution(fill, _received_at(reply))
                if isinstance(execution, Execution):
                    executions.append(execution)
                else:
                    refused.append(execution)
        return ExecutionPage(executions=tuple(executions), next_cursor=page.next_cursor, refused=tuple(refused))

    def fee(self, instrument: Instrument, price: Price, quantity: Quantity, liquidity: Liquidity) -> Cash | None:
        if liquidity is Liquidity.MAKER:
            return Cash(Decimal(0))
        curve = markets.FeeCurve(rate=instrument.fee_rate, exponent=instrument.fee_exponent)
        return Cash(markets.taker_fee(curve, at=price, shares=quantity))

    def list_holdings(self, instruments: Sequence[InstrumentId], cursor: str | None) -> Sequence[Request]:
        """The cached cash balance, then the indexer's positions in the markets of these instruments.

        Positions come from the indexer because that is the venue's one view that does not read the same chain
        call as the wallet view. Asked by market they fit into one page each, so there is no cursor.
        """
        markets_asked = [self._table.market_of(instrument) for instrument in instruments]
        # An instrument that was never learned has no known market; then the whole wallet is listed.
        known = [parse_condition_id(market) for market in markets_asked if market is not None]
        conditions = list(dict.fromkeys(known)) if len(known) == len(markets_asked) else []
        chunks = [
            conditions[start : start + public_requests.CONDITIONS_MAXIMUM]
            for start in range(0, len(conditions), public_requests.CONDITIONS_MAXIMUM)
        ]
        return [
            requests.balance_allowance(AssetKind.COLLATERAL, self._trading.signature_type),
            *(
                public_requests.positions(self._trading.wallet, conditions=chunk, status=status)
                for chunk in chunks or [[]]
                for status in _POSITION_STATUSES
            ),
        ]

    def read_holdings(self, replies: Sequence[Reply]) -> HoldingsPage | Unreadable:
        if not replies:
            return Unreadable(why="there are no answers to read holdings from")
        cash = answers.read_balance(replies[0])
        if isinstance(cash, Unreadable):
            return cash
        shares: dict[AssetId, Decimal] = {SETTLEMENT_ASSET: cash.balance}
        refused: list[Unrecognised] = []
        for reply in replies[1:]:
            page = indexer.read_positions_page(reply)
            if isinstance(page, Unreadable):
                return page
            if page.next_cursor is not None:
                return Unreadable(why="more positions than fit a page: the listing would be incomplete")
            refused.extend(page.refused)
            for row in page.rows:
                # A token is in one of the two listings; a venue that shows it in both means the same shares.
                shares[self._table.asset_of_token(row.token_id)] = row.shares
        return HoldingsPage(
            holdings=tuple(Holding(asset=asset, quantity=SignedQuantity(held)) for asset, held in shares.items()),
            as_of_ns=max(_received_at(reply) for reply in replies),
            stamp="received",
            exhaustive=True,
            refused=tuple(refused),
        )

    def query_position(self, instrument: InstrumentId) -> Request | None:
        """The venue's cached reading of the chain: the same balance by which it will judge a sale."""
        token = token_of(self._table.of_id(instrument))
        kind = AssetKind.CONDITIONAL_V2 if is_v3_position(token) else AssetKind.CONDITIONAL
        return requests.balance_allowance(kind, self._trading.signature_type, token)

    def read_position(self, reply: Reply, instrument: InstrumentId) -> Holding | Unreadable:
        found = answers.read_balance(reply)
        if isinstance(found, Unreadable):
            return found
        return Holding(asset=AssetId(instrument), quantity=SignedQuantity(found.balance))

    # -- the wallet on chain --------------------------------------------------------------------------------

    def wallet_head(self) -> Request | None:
        return public_requests.chain("chain head", wallet.head_body())

    def wallet_balances(self, head: Reply, instruments: Sequence[InstrumentId]) -> Request | Unreadable:
        pin = self._pin(head)
        if isinstance(pin, Unreadable):
            return pin
        tokens = self._tokens(instruments)
        if isinstance(tokens, Unreadable):
            return tokens
        body = wallet.balances_body(pin, self._trading.wallet, tokens, chain_id=self._trading.chain_id)
        return public_requests.chain(f"wallet at block {pin.number}", body)

    def read_wallet(
        self, head: Reply, balances: Reply, instruments: Sequence[InstrumentId]
    ) -> HoldingsPage | Unreadable:
        pin = self._pin(head)
        if isinstance(pin, Unreadable):
            return pin
        if not isinstance(balances, Answer) or balances.status != 200:
            return unreadable(balances)
        tokens = self._tokens(instruments)
        if isinstance(tokens, Unreadable):
            return tokens
        reading = wallet.read_balances(balances.body, pin, tokens)
        if isinstance(reading, ReadingRefused):
            return Unreadable(why=reading.why, status=balances.status)
        cash = Holding(asset=SETTLEMENT_ASSET, quantity=SignedQuantity(reading.cash))
        return HoldingsPage(
            holdings=(
                cash,
                *(
                    Holding(asset=self._table.asset_of_token(token), quantity=SignedQuantity(held))
                    for token, held in reading.shares
                ),
            ),
            as_of_ns=reading.block_time_ns,
            stamp=f"block {reading.block_number} {reading.block_hash} ({reading.finality})",
            exhaustive=False,
        )

    def ledger_position(self, head: Reply) -> LedgerPosition | Unreadable | None:
        pin = self._pin(head)
        if isinstance(pin, Unreadable):
            return pin
        # A node without finalized blocks shows the pinned block only with the balances.
        return None if pin.head is None else LedgerPosition(number=pin.number, stamp=pin.head.block_hash)

    def list_transfers(self, head: Reply, after: LedgerPosition) -> Request | Unreadable | None:
        pin = self._pin(head)
        if isinstance(pin, Unreadable):
            return pin
        if pin.number <= after.number:
            return None
        body = transfers.transfers_body(pin, after, self._trading.wallet, chain_id=self._trading.chain_id)
        return public_requests.chain(f"transfers behind block {after.number}", body)

    def read_transfers(self, head: Reply, reply: Reply, after: LedgerPosition) -> TransferPage | Unreadable:
        pin = self._pin(head)
        if isinstance(pin, Unreadable):
            return pin
        if not isinstance(reply, Answer) or reply.status != 200:
            return unreadable(reply)
        page = transfers.read_transfers_page(
            reply.body,
            pin,
            after,
            self._trading.wallet,
            chain_id=self._trading.chain_id,
            account=self._account,
            table=self._table,
        )
        return Unreadable(why=page.why, status=reply.status) if isinstance(page, ReadingRefused) else page

    def _tokens(self, instruments: Sequence[InstrumentId]) -> list[TokenId] | Unreadable:
        try:
            return [token_of(self._table.of_id(instrument)) for instrument in instruments]
        except CannotExpress as problem:
            return Unreadable(why=str(problem))

    def _pin(self, head: Reply) -> Pin | Unreadable:
        if not isinstance(head, Answer) or head.status != 200:
            return unreadable(head)
        pin = wallet.read_head(head.body, chain_id=self._trading.chain_id)
        if not isinstance(pin, ReadingRefused):
            pin = check_fresh(pin, head.received_at_ns) or pin
        return Unreadable(why=pin.why, status=head.status) if isinstance(pin, ReadingRefused) else pin

    # -- staying alive --------------------------------------------------------------------------------------

    def heartbeat(self, token: str) -> Request | None:
        return requests.heartbeat(token)

    def read_heartbeat(self, reply: Reply) -> str | Unreadable:
        return answers.read_heartbeat(reply)

    # -- streams --------------------------------------------------------------------------------------------

    def private_stream(self) -> tuple[str, Sequence[FrameOut]]:
        """All markets: a trade in one that nobody configured moves the same money."""
        return subscriptions.USER_STREAM, (subscriptions.subscribe_user(self._logged_in()),)

    def public_stream(self, instruments: Sequence[InstrumentId]) -> tuple[str, Sequence[FrameOut]]:
        tokens = [token_of(self._table.of_id(instrument)) for instrument in instruments]
        return subscriptions.MARKET_STREAM, (subscriptions.subscribe_market(tokens),)

    def stream_ping(self) -> tuple[FrameOut, float] | None:
        return subscriptions.PING, subscriptions.PING_INTERVAL_SECONDS

    def read_private_frame(self, frame: str | bytes, received_at_ns: int) -> Sequence[PrivateReport]:
        events = read_user_frame(frame, api_key=self._api_key(), wallet=self._trading.wallet)
        return [report for event in events for report in self._reports.private(event, received_at_ns)]

    def read_public_frame(self, frame: str | bytes, received_at_ns: int) -> Sequence[PublicReport]:
        return [report for event in read_market_frame(frame) for report in self._reports.public(event, received_at_ns)]

    # -- secrecy --------------------------------------------------------------------------------------------

    def redact(self, content: bytes) -> bytes:
        if self._credentials is None:
            return redact(content)
        key = self._credentials.api_key
        known = (secret for secret in self.secrets if secret != key)
        return redact(content, known).replace(key.encode(), fingerprint(key).encode())

    # -- parts ----------------------------------------------------------------------------------------------

    def _logged_in(self) -> Credentials:
        if self._credentials is None:
            raise CannotExpress(f"{self._account} has no API credentials yet: log in first")
        return self._credentials

    def _api_key(self) -> ApiKey:
        return ApiKey("") if self._credentials is None else self._credentials.api_key


def _received_at(reply: Reply) -> int:
    return reply.received_at_ns if isinstance(reply, Answer) else reply.at_ns
