"""What `tallystick run` says on stdout: one line a report, a refusal, and at the end a summary; as JSON or for people.

Written by a thread of its own: whoever reads our stdout may be slow, and must not hold up the loop that trades. Who
reads too slowly holds up its own reports, in order, and nothing else.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TextIO

import msgspec
import structlog
import trio

from ..actors.ticket import IntentRejected, Report
from ..model.intake import BadIntent
from .output import View
from .text import amount, instant, maybe_amount, printable, short_instant

WAITING_MAX = 1000
"""Lines that may wait for a slow reader; then who has more to say waits as well."""
DRAIN_SECONDS = 5.0

log = structlog.get_logger("tallystick")


class ReportView(View, frozen=True, tag_field="type", tag="report"):
    """One report of an intent; `number` counts from 1 for each intent of a run."""

    strategy: str
    intent_id: str
    number: int
    kind: str
    at: str
    text: str
    client_order_id: str | None
    leg: int | None
    quantity: str | None
    price: str | None
    outcome: str
    filled: tuple[str, ...]


class ProblemView(View, frozen=True):
    field: str
    found: str
    allowed: str


class RefusedView(View, frozen=True, tag_field="type", tag="refused"):
    """A line of which nothing will be done. `gate` is empty where the line itself is no usable intent."""

    line: int
    intent_id: str | None
    gate: str
    problems: tuple[ProblemView, ...]


class SummaryView(View, frozen=True, tag_field="type", tag="summary"):
    """Counts of this run. `repeated` lines were at work or had ended already; `ended` is by outcome."""

    lines: int
    accepted: int
    repeated: int
    refused: int
    ended: dict[str, int]
    at_work: int


Said = ReportView | RefusedView | SummaryView


def report_view(report: Report) -> ReportView:
    return ReportView(
        strategy=report.strategy,
        intent_id=report.intent_id,
        number=report.number,
        kind=report.kind,
        at=instant(report.at_ns),
        text=report.text,
        client_order_id=report.client_order_id,
        leg=report.leg,
        quantity=maybe_amount(report.quantity),
        price=maybe_amount(report.price),
        outcome=report.outcome,
        filled=tuple(amount(quantity) for quantity in report.filled),
    )


def unreadable_view(line: int, bad: BadIntent) -> RefusedView:
    """A line that is no usable intent, with everything that is wrong with it."""
    return RefusedView(
        line=line,
        intent_id=bad.intent_id,
        gate="",
        problems=tuple(
            ProblemView(field=problem.field, found=problem.found, allowed=problem.allowed) for problem in bad.problems
        ),
    )


def rejected_view(line: int, intent_id: str, rejected: IntentRejected) -> RefusedView:
    """An intent that a gate refused, with the gate's numbers."""
    refusal = rejected.refusal
    return RefusedView(
        line=line,
        intent_id=intent_id,
        gate=refusal.gate,
        problems=(ProblemView(field=refusal.field, found=refusal.found, allowed=refusal.allowed),),
    )


def undecided_view(line: int, intent_id: str, error: Exception) -> RefusedView:
    """An intent about which nobody could decide: its desk was being restarted."""
    problem = ProblemView(field="intent_id", found=str(error), allowed="the same line again; it is worked at most once")
    return RefusedView(line=line, intent_id=intent_id, gate="", problems=(problem,))


def in_words(said: Said) -> str:
    """The same for people, one line or more."""
    match said:
        case ReportView():
            filled = f", filled {' and '.join(said.filled)}" if said.kind == "ended" else ""
            order = f" [{said.client_order_id}]" if said.client_order_id else ""
            # A text that begins with its own kind says it once.
            text = said.text if said.text.split(":")[0].split(" ")[0] == said.kind else f"{said.kind}: {said.text}"
            return f"{short_instant(said.at)}  {said.intent_id} #{said.number} {text}{filled}{order}"
        case RefusedView():
            whose = f" (intent {said.intent_id})" if said.intent_id else ""
            gate = f" at the gate {said.gate}" if said.gate else ""
            return "\n".join(
                f"line {said.line}{whose} refused{gate}: {problem.field}: found {problem.found}; "
                f"allowed is {problem.allowed}"
                for problem in said.problems
            )
        case SummaryView():
            ended = ", ".join(f"{count} {outcome}" for outcome, count in sorted(said.ended.items())) or "none"
            return (
                f"{said.lines} lines: {said.accepted} intents accepted, {said.repeated} repeated, "
                f"{said.refused} refused; ended: {ended}; at work: {said.at_work}"
            )


class ReportWriter:
    """Writes what is said, in order. Open it with `opened`; whatever was said before its end is written."""

    def __init__(self, *, as_json: bool, stream: TextIO | None = None) -> None:
        self._as_json = as_json
        self._stream = sys.stdout if stream is None else stream
        self._send, self._receive = trio.open_memory_channel[Said](WAITING_MAX)
        self._gone = False

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["ReportWriter"]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._run)
            try:
                yield self
            finally:
                self._send.close()
                nursery.cancel_scope.deadline = trio.current_time() + DRAIN_SECONDS

    async def say(self, said: Said) -> None:
        """Have it written; waits only where very much is waiting already."""
        await self._send.send(said)

    async def _run(self) -> None:
        async for said in self._receive:
            texts = [self._text(said)]
            while True:
                try:
                    texts.append(self._text(self._receive.receive_nowait()))
                except (trio.WouldBlock, trio.EndOfChannel):
                    break
            if not self._gone:
                await trio.to_thread.run_sync(self._write, "".join(texts), abandon_on_cancel=True)

    def _text(self, said: Said) -> str:
        if self._as_json:
            return msgspec.json.encode(said).decode() + "\n"
        return "".join(printable(line) + "\n" for line in in_words(said).splitlines())

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError) as error:
            # Trading does not depend on who listens: the reports are in the journal.
            self._gone = True
            log.warning("nobody reads the reports any more; they are in the journal", why=str(error))
