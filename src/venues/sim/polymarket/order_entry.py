"""From the bytes of an order to a request the exchange core takes: parsing, authority, signature, amounts.

Every refusal carries the venue's status and words (polymarket.md 7 and 15). The signature is checked once, by
recovering the public key, in the form that the order's signature type prescribes (polymarket.md 6).
"""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import msgspec

from ...evm.address import Address, HexRefused, hex_bytes32, hex_data, parse_address
from ...polymarket.contracts import ContractRefused, ExchangeContract, TokenId, parse_token_id
from ...polymarket.eip712 import ORDER_TYPE, OrderHashes, hash_order, wrapped_order_digest
from ...polymarket.orders import ApiKey, Order, OrderRefused, OrderType, SignatureType
from ...polymarket.orders import Side as WireSide
from ...polymarket.wallet_addresses import derive_wallets
from ..core.values import AccountId, InstrumentId, OrderId, OrderRequest, Side, TimeInForce
from .keys import KeyHolder, recover_signer
from .markets import AMOUNT_DECIMALS, Catalogue, Market
from .numbers import decimals_of, from_units, plain

EXPIRY_LEAD_MS = 60_000
"""The venue expires a GTD order one minute before its stamp (polymarket.md 7.1)."""

INVALID_PAYLOAD = "Invalid order payload"

_TYPE_TRAILER = ORDER_TYPE.encode("ascii") + len(ORDER_TYPE).to_bytes(2, "big")
_TIMES_IN_FORCE = {
    OrderType.GOOD_TILL_CANCELLED: TimeInForce.GTC,
    OrderType.GOOD_TILL_DATE: TimeInForce.GTD,
    OrderType.FILL_OR_KILL: TimeInForce.FOK,
    OrderType.FILL_AND_KILL: TimeInForce.IOC,
}


class OrderRejected(Exception):
    """An order is refused; the message is the venue's text, `status` its HTTP status for a single order."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.text = text
        self.status = status


class _OrderWire(msgspec.Struct):
    """The `order` object as both official clients send it."""

    salt: int
    maker: str
    signer: str
    tokenId: str  # noqa: N815 - the wire's spelling, here and below
    makerAmount: str  # noqa: N815
    takerAmount: str  # noqa: N815
    side: str
    signatureType: int  # noqa: N815
    signature: str
    expiration: str = "0"
    timestamp: str | None = None
    metadata: str = "0x" + "00" * 32
    builder: str = "0x" + "00" * 32


class _EntryWire(msgspec.Struct):
    order: _OrderWire
    owner: str
    orderType: str  # noqa: N815
    deferExec: bool = False  # noqa: N815
    postOnly: bool = False  # noqa: N815


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An order whose sender and signature are proven, ready for the exchange core."""

    request: OrderRequest
    cash: Decimal
    market: Market
    token_id: TokenId
    owner: Address
    wallet: Address
    api_key: ApiKey
    contract: ExchangeContract
    order_type: OrderType
    expiration_seconds: int
    defer_execution: bool


class EntryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue decides about entry beyond the wire format.

    `immediate_buys_spend_cash`: a FOK or FAK BUY is bounded by the cash it signs, not by its shares, so a better
    price buys more shares than were asked for. That is what the live venue was seen to do with a FAK limit order.
    `deposit_wallets_only` refuses plain accounts and Safes, as the venue does for accounts made since 2026-05-04.
    """

    immediate_buys_spend_cash: bool = True
    deposit_wallets_only: bool = False


def decode_entries(body: bytes) -> list[object]:
    """The elements of a batch body, not yet looked at; raises `OrderRejected` when it is not an array."""
    try:
        decoded = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise OrderRejected(INVALID_PAYLOAD) from error
    if not isinstance(decoded, list):
        raise OrderRejected(INVALID_PAYLOAD)
    return decoded


def read_entry(
    item: object,
    holder: KeyHolder,
    catalogue: Catalogue,
    policy: EntryPolicy,
    owner_of: Callable[[Address], Address | None],
) -> Entry:
    """Turn one posted order into an entry; raises `OrderRejected`.

    `item` is decoded JSON. `owner_of` knows wallets that were registered rather than derived from their owner.
    """
    try:
        wire = msgspec.convert(item, _EntryWire)
    except msgspec.ValidationError as error:
        raise OrderRejected(INVALID_PAYLOAD) from error
    if wire.order.timestamp is None:
        raise OrderRejected("order_version_mismatch")
    order, order_type, expiration_seconds = _parse(wire)
    if wire.owner != holder.api_key:
        raise OrderRejected("the order owner has to be the owner of the API KEY")
    market = catalogue.of_token(order.token_id)
    if market is None:
        raise OrderRejected("No orderbook exists for the requested token id")
    contract = market.contract(order.token_id)
    _check_authority(order, holder, policy, owner_of)
    hashes = hash_order(order, contract)
    if not _is_signed_by(wire.order.signature, order, hashes, contract, holder.owner):
        raise OrderRejected("invalid signature")
    request = _request(order, hashes, order_type, wire.postOnly, expiration_seconds, policy)
    return Entry(
        request=request,
        cash=from_units(order.maker_amount if order.side is WireSide.BUY else order.taker_amount),
        market=market,
        token_id=order.token_id,
        owner=holder.owner,
        wallet=order.maker,
        api_key=holder.api_key,
        contract=contract,
        order_type=order_type,
        expiration_seconds=expiration_seconds,
        defer_execution=wire.deferExec,
    )


def check_terms(entry: Entry, now_ms: int) -> None:
    """Refuse amounts finer than the tick allows and expiries that are past; raises `OrderRejected`."""
    request = entry.request
    expires_at_ms = request.expires_at_ms
    if (expires_at_ms is not None and expires_at_ms <= now_ms) or (
        expires_at_ms is None and entry.expiration_seconds != 0
    ):
        raise OrderRejected("invalid expiration")
    buys = request.side is Side.BUY
    kind, cash_decimals, shares_decimals = "", AMOUNT_DECIMALS[entry.market.tick_size], 2
    if request.time_in_force.immediate:
        # Market orders give an amount of two decimals and take one of at least four.
        fine = max(4, cash_decimals)
        kind, cash_decimals, shares_decimals = "market ", *((2, fine) if buys else (fine, 2))
    if decimals_of(request.size) > shares_decimals or decimals_of(entry.cash) > cash_decimals:
        side = "buy" if buys else "sell"
        maker, taker = (cash_decimals, shares_decimals) if buys else (shares_decimals, cash_decimals)
        raise OrderRejected(
            f"invalid amounts, the {kind}{side} orders maker amount supports a max accuracy of {maker} decimals, "
            f"taker amount a max of {taker} decimals"
        )


def _parse(wire: _EntryWire) -> tuple[Order, OrderType, int]:
    fields = wire.order
    try:
        order_type = OrderType(wire.orderType)
        order = Order(
            salt=fields.salt,
            maker=parse_address(fields.maker),
            signer=parse_address(fields.signer),
            token_id=parse_token_id(fields.tokenId),
            maker_amount=int(fields.makerAmount),
            taker_amount=int(fields.takerAmount),
            side=WireSide(fields.side),
            signature_type=SignatureType(fields.signatureType),
            timestamp_milliseconds=int(fields.timestamp or "0"),
            metadata=hex_bytes32(fields.metadata),
            builder=hex_bytes32(fields.builder),
        )
        expiration_seconds = int(fields.expiration)
    except OrderRefused as error:
        # Maker and signer that do not go together cannot have a valid signature.
        text = "invalid signature" if "names the" in str(error) else INVALID_PAYLOAD
        raise OrderRejected(text) from error
    except (ValueError, ContractRefused) as error:
        raise OrderRejected(INVALID_PAYLOAD) from error
    resting = order_type in {OrderType.GOOD_TILL_CANCELLED, OrderType.GOOD_TILL_DATE}
    if wire.postOnly and not resting:
        raise OrderRejected(INVALID_PAYLOAD)
    return order, order_type, expiration_seconds


def _check_authority(
    order: Order, holder: KeyHolder, policy: EntryPolicy, owner_of: Callable[[Address], Address | None]
) -> None:
    """The key must be of the order's signer, and the signer must command the wallet that pays."""
    if order.signature_type is SignatureType.POLY_1271:
        owner = owner_of(order.maker)
        if owner is None:
            wallets = derive_wallets(holder.owner)
            owner = holder.owner if order.maker in {wallets.deposit_beacon, wallets.deposit_uups} else None
        if owner != holder.owner:
            raise OrderRejected("the order signer address has to be the address of the API KEY")
        return
    if order.signer != holder.owner:
        raise OrderRejected("the order signer address has to be the address of the API KEY")
    if policy.deposit_wallets_only:
        raise OrderRejected("maker address not allowed, please use the deposit wallet flow")
    if owner_of(order.maker) == holder.owner or order.signature_type is SignatureType.EOA:
        return
    if derive_wallets(holder.owner).signature_type_of(order.maker) is not order.signature_type:
        raise OrderRejected("invalid signature")


def _is_signed_by(
    signature_text: str, order: Order, hashes: OrderHashes, contract: ExchangeContract, owner: Address
) -> bool:
    try:
        signature = hex_data(signature_text)
    except HexRefused:
        return False
    if order.signature_type is not SignatureType.POLY_1271:
        return recover_signer(signature, hashes.digest) == owner
    if signature[65:] != hashes.domain_separator + hashes.struct_hash + _TYPE_TRAILER:
        return False
    digest = wrapped_order_digest(hashes, chain_id=contract.chain_id, deposit_wallet=order.maker)
    return recover_signer(signature[:65], digest) == owner


def _request(
    order: Order,
    hashes: OrderHashes,
    order_type: OrderType,
    post_only: bool,
    expiration_seconds: int,
    policy: EntryPolicy,
) -> OrderRequest:
    buys = order.side is WireSide.BUY
    cash_units, share_units = (
        (order.maker_amount, order.taker_amount) if buys else (order.taker_amount, order.maker_amount)
    )
    time_in_force = _TIMES_IN_FORCE[order_type]
    spends_cash = buys and time_in_force.immediate and policy.immediate_buys_spend_cash
    dated = time_in_force is TimeInForce.GTD
    return OrderRequest(
        order_id=OrderId("0x" + hashes.digest.hex()),
        account=AccountId(order.maker),
        instrument_id=InstrumentId(order.token_id),
        side=Side.BUY if buys else Side.SELL,
        price=_ratio(cash_units, share_units),
        size=from_units(share_units),
        time_in_force=time_in_force,
        post_only=post_only,
        cash=from_units(cash_units) if spends_cash else None,
        expires_at_ms=expiration_seconds * 1_000 - EXPIRY_LEAD_MS if dated else None,
    )


def _ratio(cash_units: int, share_units: int) -> Decimal:
    """Cash for each share: exact when it has a decimal form, else to 28 digits."""
    ratio = Fraction(cash_units, share_units)
    return Decimal(ratio.numerator) / Decimal(ratio.denominator)


def describe_price(entry: Entry) -> str:
    """The order's price as the venue shows it: on the grid for market orders too."""
    tick = entry.market.tick_size
    price = entry.request.price
    if entry.request.time_in_force.immediate:
        price = (price / tick).quantize(Decimal(1)) * tick
    return plain(price)
