"""Identifiers, each its own type, so that an account cannot be passed where an order is meant.

They are strings on purpose: they are what an operator types, greps for and reads in an alert.
"""

import hashlib
from typing import NewType

VenueName = NewType("VenueName", str)
"""A venue dialect: ``polymarket``."""

AccountId = NewType("AccountId", str)
"""One account at one venue: ``polymarket:main``."""

InstrumentId = NewType("InstrumentId", str)
"""One tradable thing at one venue: ``polymarket:rain-in-paris:Yes``."""

AssetId = NewType("AssetId", str)
"""What balances are counted in: a currency (``pUSD``) or the instrument that is itself held."""

StrategyName = NewType("StrategyName", str)
IntentId = NewType("IntentId", str)
"""Given by the strategy, unique for ever within it; the root of every identity below."""

ClientOrderId = NewType("ClientOrderId", str)
VenueOrderId = NewType("VenueOrderId", str)
TradeId = NewType("TradeId", str)
"""The venue's own name of one match; see `FillKey` for what makes a fill unique."""

AlertId = NewType("AlertId", str)
SweepId = NewType("SweepId", str)
CommandId = NewType("CommandId", str)
"""Given by whoever sends an operator's command; the same one again is carried out once."""

INTENT_ID_LENGTH_MAX = 64


def client_order_id(
    strategy: StrategyName, intent_id: IntentId, leg: int, slice_number: int, attempt: int
) -> ClientOrderId:
    """The order's identity, a pure function of what the strategy asked for (law L6).

    The same slice of the same intent has the same id after any crash, so it makes at most one order. The
    readable part comes first for people; the digest keeps two strategies apart that use one intent id, and is long
    enough that it does so over tens of millions of them.
    """
    digest = hashlib.sha256(f"{strategy}\x00{intent_id}".encode()).hexdigest()[:16]
    return ClientOrderId(f"{intent_id}.{leg}.{slice_number}.{attempt}-{digest}")


def salt_of(order: ClientOrderId) -> int:
    """A number below 2**53 that follows from the client order id, for venues whose order hash needs a salt."""
    return int.from_bytes(hashlib.sha256(order.encode()).digest()[:7], "big") >> 3
