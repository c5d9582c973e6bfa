"""Every venue that a world can be built on. A new venue joins all worlds, laws and scenarios by being listed here."""

from collections.abc import Callable

from .plan import Plan
from .polymarket import PolymarketRig
from .venue import VenueRig

RIGS: dict[str, Callable[..., VenueRig]] = {
    PolymarketRig.name: PolymarketRig,
}


def rig_of(plan: Plan) -> VenueRig:
    """The rig that a plan is for. Raises KeyError for a venue that has not joined."""
    rig = RIGS[plan.venue]
    return rig(markets=plan.markets) if plan.markets else rig()
