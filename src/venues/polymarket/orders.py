"""The order that is signed, and the words of it that are sent but not signed (polymarket.md section 6)."""

from enum import Enum
from typing import NewType

from ...model.value import Value
from ..evm.address import Address
from .contracts import TokenId

OrderHash = NewType("OrderHash", str)
"""The venue's order id: 0x and 64 lower-case hexadecimal digits, known before the order is sent."""

ApiKey = NewType("ApiKey", str)
"""The name of an API key, a UUID. Orders and trades carry it as their owner."""

ZERO_BYTES32 = bytes(32)

SALT_MAXIMUM = (1 << 53) - 1
"""The salt travels as a JSON number, so it stays within what every reader keeps exactly."""

GOOD_TILL_DATE_SECONDS_MINIMUM = 180
"""Clients refuse a nearer expiry, and the venue expires an order a minute before its stamp."""


class OrderRefused(ValueError):
    """An order cannot be expressed faithfully, so it is not made."""


class Side(Enum):
    """The venue's two sides. Selling short does not exist; see `dialect`."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def code(self) -> int:
        """The number that is signed."""
        return 0 if self is Side.BUY else 1


class SignatureType(Enum):
    """Whose money an order spends and how its signature is checked (polymarket.md sections 1 and 6.1)."""

    EOA = 0
    POLY_PROXY = 1
    POLY_GNOSIS_SAFE = 2
    POLY_1271 = 3
    """A deposit wallet, the only kind that accounts made since 2026-05-04 have."""


class OrderType(Enum):
    """The venue's time in force. FAK is what others call immediate-or-cancel."""

    GOOD_TILL_CANCELLED = "GTC"
    GOOD_TILL_DATE = "GTD"
    FILL_OR_KILL = "FOK"
    FILL_AND_KILL = "FAK"


class Order(Value, frozen=True):
    """Everything an order's signature covers. Two orders with equal fields are one order to the venue.

    Amounts are base units (millionths). For a buy `maker_amount` is cash and `taker_amount` shares; for a
    sell it is the other way round. `builder` is a builder's code as it was given out; its layout is UNKNOWN, so
    it is never composed here.
    """

    salt: int
    maker: Address
    signer: Address
    token_id: TokenId
    maker_amount: int
    taker_amount: int
    side: Side
    signature_type: SignatureType
    timestamp_milliseconds: int
    metadata: bytes = ZERO_BYTES32
    builder: bytes = ZERO_BYTES32

    def __post_init__(self) -> None:
        """Raise `OrderRefused` for what the venue could read differently, or not at all."""
        if not 0 <= self.salt <= SALT_MAXIMUM:
            raise OrderRefused(f"salt {self.salt} is outside 0 … 2^53-1 and would lose digits as JSON")
        if self.maker_amount <= 0 or self.taker_amount <= 0:
            raise OrderRefused(
                f"both amounts must be positive, got maker {self.maker_amount} and taker {self.taker_amount}"
            )
        if self.timestamp_milliseconds < 0:
            raise OrderRefused(f"timestamp {self.timestamp_milliseconds} is before 1970")
        if len(self.metadata) != 32 or len(self.builder) != 32:
            raise OrderRefused("metadata and builder are 32 bytes each")
        if self.signature_type is SignatureType.POLY_1271 and self.signer != self.maker:
            raise OrderRefused("an order of a deposit wallet names the wallet as maker and as signer")
        if self.signature_type is SignatureType.EOA and self.signer != self.maker:
            raise OrderRefused("an order of a plain account names the account as maker and as signer")


class Instructions(Value, frozen=True):
    """What travels beside a signed order without being signed (polymarket.md section 7.1).

    `expiration_seconds` is unix time; the venue expires the order one minute earlier.
    """

    order_type: OrderType = OrderType.GOOD_TILL_CANCELLED
    expiration_seconds: int | None = None
    post_only: bool = False
    defer_execution: bool = False

    def __post_init__(self) -> None:
        """Raise `OrderRefused` for combinations that the venue does not offer."""
        dated = self.order_type is OrderType.GOOD_TILL_DATE
        if dated != (self.expiration_seconds is not None):
            raise OrderRefused(
                f"an expiration belongs to GTD and to nothing else, got {self.order_type.value} "
                f"with expiration {self.expiration_seconds}"
            )
        if self.expiration_seconds is not None and self.expiration_seconds <= 0:
            raise OrderRefused(f"expiration {self.expiration_seconds} is not a time after 1970")
        resting = {OrderType.GOOD_TILL_CANCELLED, OrderType.GOOD_TILL_DATE}
        if self.post_only and self.order_type not in resting:
            raise OrderRefused(f"post-only goes with GTC or GTD, got {self.order_type.value}")


class SignedOrder(Value, frozen=True):
    """An order with its signature and the id that the venue will know it by."""

    order: Order
    order_hash: OrderHash
    signature: bytes
