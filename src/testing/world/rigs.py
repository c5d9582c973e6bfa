"""Every venue that a world can be built on. A new venue joins all worlds, laws and scenarios by being listed here."""

from collections.abc import Callable

from .polymarket import PolymarketRig
from .venue import VenueRig

RIGS: dict[str, Callable[[], VenueRig]] = {
    PolymarketRig.name: PolymarketRig,
}
