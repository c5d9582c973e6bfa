"""A sequence of entries as steps: times relative to the first, gaps shown, what surrounds them kept apart."""

import re
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from ..store import Entry
from .output import Screen, View
from .sentences import Lane, Told, actor_name
from .text import instant, short_instant, short_span, span

GAP_SECONDS = 1.0
"""Silence that is shown as a step of its own, unless asked otherwise."""
BODY_CHARACTERS_SHOWN = 240
SLACK_NS = 1_000_000
"""Messages are timed by the system's clock and entries by the machine's: so far they may be apart without meaning."""

_ARROW = "→"
_NUMBER = re.compile(r" #\d+")
"""Requests are numbered; two of one kind differ by it alone."""


class Step(View, frozen=True):
    """One step. `lsn` and `epoch` are its durable point: where in the journal it is, and under which owner.

    A message has no durable point of its own; its `cause` is the message that caused it, as that of an entry is the
    message whose handling recorded it.

    `after_seconds` counts from the first step, `since_previous_seconds` from the one before. A gap has neither place
    nor source. `about` names the order, intent or account.
    """

    lane: Lane
    kind: str
    text: str
    at: str
    after_seconds: str
    since_previous_seconds: str
    lsn: int | None = None
    epoch: int | None = None
    cause: int | None = None
    source: str = ""
    target: str = ""
    about: str = ""
    detail: dict[str, str] = msgspec.field(default_factory=dict)


class Found(NamedTuple):
    """An entry that belongs into the sequence; with `context` only because of what is around it."""

    entry: Entry
    told: Told
    about: str = ""
    context: bool = False


def sequence(found: Iterable[Found], *, gap_seconds: float, trailing_context: bool) -> tuple[Step, ...]:
    """The steps in journal order, from the first entry that belongs by itself.

    Context before it is left out, and context after the last as well unless `trailing_context`.
    """
    chosen: list[Found] = []
    for item in found:
        if chosen or not item.context:
            chosen.append(item)
    while chosen and chosen[-1].context and not trailing_context:
        chosen.pop()
    steps: list[Step] = []
    first_ns = chosen[0].entry.at_ns if chosen else 0
    before: Entry | None = None
    for item in chosen:
        entry = item.entry
        if before is not None:
            steps.extend(_gap(before, entry, first_ns, round(gap_seconds * 1_000_000_000)))
        steps.append(_step(item, first_ns, before))
        before = entry
    return tuple(steps)


def _step(item: Found, first_ns: int, before: Entry | None) -> Step:
    entry, told = item.entry, item.told
    return Step(
        lane=told.lane,
        kind=told.kind,
        text=told.text,
        at=instant(entry.at_ns),
        after_seconds=span(entry.at_ns - first_ns),
        since_previous_seconds=span(0 if before is None else entry.at_ns - before.at_ns),
        lsn=None if told.lane is Lane.MESSAGE else entry.lsn,
        epoch=entry.epoch,
        cause=entry.cause or None,
        source=told.source,
        target=told.target,
        about=item.about,
        detail=dict(told.detail),
    )


def _gap(before: Entry, entry: Entry, first_ns: int, gap_ns: int) -> Iterable[Step]:
    """A step for silence, for time that went backwards, and for a change of owners; they may come together."""
    passed = entry.at_ns - before.at_ns
    parts = []
    if passed >= gap_ns:
        parts.append(f"nothing of it for {short_span(passed)}")
    if passed < -SLACK_NS:
        parts.append(f"the clock went back by {short_span(-passed)}")
    if entry.epoch != before.epoch:
        parts.append(f"another run: epoch {before.epoch} {_ARROW} {entry.epoch}")
    if parts:
        yield Step(
            lane=Lane.GAP,
            kind="gap",
            text=", ".join(parts),
            at=instant(before.at_ns),
            after_seconds=span(before.at_ns - first_ns),
            since_previous_seconds=span(passed),
        )


def show_steps(steps: tuple[Step, ...], screen: Screen, *, bodies: bool) -> None:
    """The sequence for people, one line a step; with `bodies` the facts below it, and nothing folded together."""
    if not steps:
        screen.line("nothing is journalled of it")
        return
    screen.line(f"from {short_instant(steps[0].at)} UTC", "dim")
    for step in steps if bodies else folded(steps):
        if step.lane is Lane.GAP:
            screen.line(f"{'':>12}  {'':>8}  ··· {step.text}", "dim")
            continue
        source, target = step.source, step.target
        if step.lane is Lane.MESSAGE:
            source, target = actor_name(source), actor_name(target)
        ends = f"{source} {_ARROW} {target}: " if target else ""
        about = f"  [{step.about}]" if step.about else ""
        screen.line(f"{'+' + step.after_seconds[:-3]:>12}  {_place(step):>8}  {ends}{step.text}{about}")
        if bodies:
            for name, value in step.detail.items():
                screen.line(f"{'':>24}{name}: {_cut(value)}", "dim")


def folded(steps: Iterable[Step]) -> Iterable[Step]:
    """The steps with repeated questions told once: a resting order is in every sweep, and nothing comes of most."""
    asked: set[str] = set()
    repeated: list[Step] = []
    gap: Step | None = None
    for step in steps:
        if step.lane is Lane.GAP and not step.text.startswith("another run"):
            gap = step
            continue
        name = _NUMBER.sub("", step.text)
        question = step.lane is Lane.WIRE and name.startswith("rest: GET ")
        if question and name in asked:
            repeated.append(step)
            gap = None
            continue
        yield from _repetition(repeated, len(asked))
        repeated = []
        if gap is not None:
            yield gap
            gap = None
        asked = {*asked, name} if question else set()
        yield step
    yield from _repetition(repeated, len(asked))


def _repetition(repeated: list[Step], steps_each: int) -> Iterable[Step]:
    if repeated:
        times = (len(repeated) + steps_each - 1) // steps_each
        plural = "time" if times == 1 else "times"
        text = f"asked the same {times} {plural} more, until +{repeated[-1].after_seconds[:-3]}"
        yield msgspec.structs.replace(repeated[-1], lane=Lane.GAP, text=text)


def _place(step: Step) -> str:
    """The durable point of a step; a message has none."""
    return "" if step.lsn is None else f"#{step.lsn}/{step.epoch}"


def _cut(value: str) -> str:
    if len(value) <= BODY_CHARACTERS_SHOWN:
        return value
    return f"{value[:BODY_CHARACTERS_SHOWN]}… ({len(value)} characters; --json has all)"
