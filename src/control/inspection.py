"""The live tree as a value: built on the loop in one go, from snapshots, the trace ring and what went wrong lately.

It asks no actor and waits for none, so a tree in trouble can be looked at as well as one in order.
"""

from collections import defaultdict
from collections.abc import Callable

from ..actors.kernel import ActorSnapshot, ActorSystem, handling_times
from .incidents import Incidents
from .protocol import ActorView, HiddenChildren, Tree

CHILDREN_MAXIMUM = 1_000


class Inspection:
    """Looks at one system."""

    def __init__(self, system: ActorSystem, incidents: Incidents, *, build: str, now_ns: Callable[[], int]) -> None:
        self._system = system
        self._incidents = incidents
        self._build = build
        self._now_ns = now_ns
        self._started_at_ns = now_ns()

    def tree(self, children_maximum: int = 50) -> Tree:
        """The tree now; of each dynamic set at most so many children, those in trouble first."""
        system = self._system
        now = system.now()
        times = handling_times(system.trace.events(kind="message"))
        found = system.snapshot()
        shown, hidden = _chosen(found, min(max(children_maximum, 0), CHILDREN_MAXIMUM))
        actors = []
        for snapshot in shown:
            handling = times.get(snapshot.path)
            actors.append(
                ActorView(
                    snapshot=snapshot,
                    handling=handling,
                    idle_seconds=None if handling is None else now - handling.last_finished_at,
                    crash=self._incidents.crash_of(snapshot.path),
                )
            )
        return Tree(
            runtime=system.name,
            build=self._build,
            at_ns=self._now_ns(),
            started_at_ns=self._started_at_ns,
            messages_handled=sum(snapshot.handled for snapshot in found),
            actors=tuple(actors),
            hidden=hidden,
            dead_letters={kind.value: count for kind, count in system.dead_letters.counts.items()},
            incidents=self._incidents.recent(),
        )


def _trouble(snapshot: ActorSnapshot) -> tuple[bool, int, float]:
    """What to show first: not running, then restarted, then with the oldest message."""
    return snapshot.state == "running", -snapshot.restarts, -snapshot.oldest_age_seconds


def _chosen(
    found: tuple[ActorSnapshot, ...], children_maximum: int
) -> tuple[list[ActorSnapshot], tuple[HiddenChildren, ...]]:
    dynamic = {snapshot.path for snapshot in found if snapshot.is_dynamic}
    children: dict[str, list[ActorSnapshot]] = defaultdict(list)
    for snapshot in found:
        parent = snapshot.path.rpartition("/")[0]
        if parent in dynamic:
            children[parent].append(snapshot)
    left_out: set[str] = set()
    hidden: list[HiddenChildren] = []
    for parent, those in children.items():
        if len(those) > children_maximum:
            those.sort(key=_trouble)
            left_out |= {snapshot.path for snapshot in those[children_maximum:]}
            hidden.append(HiddenChildren(path=parent, count=len(those) - children_maximum))
    return [snapshot for snapshot in found if snapshot.path not in left_out], tuple(hidden)
