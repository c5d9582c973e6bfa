"""`tallystick reconcile` has an account reconciled now; `tallystick reconciliations` tells of every one there was."""

import time
from collections import deque
from collections.abc import Iterable
from typing import Annotated

import typer

from ..control.protocol import AwaitReconciliation, Reconciled
from ..model.account import Reconciliation
from ..model.event import ReconciliationEnded
from ..model.identifiers import AccountId
from ..model.operator import Reconcile
from ..store import ArchiveMissing, Entry, Reader
from .commanding import LOOK_SECONDS, CommandIdOption, LiveStore, NoteOption, ask_runtime, carry
from .errors import Refusal
from .exit_codes import ExitCode
from .output import Screen, View, print_json
from .reading import JsonOption, StoreArgument, StoreOption, entries, fold, opened, require_known
from .text import instant, printable, short_instant, span

RECONCILE_EXAMPLES = """\b
Examples:
  tallystick reconcile var/main polymarket:main
  tallystick reconcile var/main polymarket:main --hours 48 --note "after the outage of the venue"
  tallystick reconcile var/main polymarket:main --json | jq .complete
"""
EXAMPLES = """\b
Examples:
  tallystick reconciliations var/main --last 5
  tallystick reconciliations var/main --account polymarket:main --incomplete
  tallystick reconciliations var/main --json | jq '.reconciliations[] | select(.fills_recovered != [])'
"""
NANOSECONDS_AN_HOUR = 3_600_000_000_000


class CorrectionView(View, frozen=True):
    """One thing that a reconciliation corrected, with its evidence."""

    subject: str
    evidence: str


class DifferenceView(View, frozen=True):
    """One asset of which the views did not agree with the book."""

    asset: str
    difference: str


class ReconciliationView(View, frozen=True):
    """The completeness record of one reconciliation, all of it."""

    sweep_id: str
    account: str
    trigger: str
    detail: str
    started_at: str
    ended_at: str
    fills_since: str
    fill_pages: int
    fills_seen: int
    fills_recovered: tuple[str, ...]
    order_pages: int
    orders_open_at_venue: int
    orders_queried: int
    orders_corrected: tuple[str, ...]
    orders_unresolved: tuple[str, ...]
    foreign_orders: int
    rows_refused: int
    holdings_compared: int | None
    holdings_unread: tuple[str, ...]
    corrections: tuple[CorrectionView, ...]
    differences: tuple[DifferenceView, ...]
    complete: bool
    why: str
    took_seconds: str


class ReconciliationsView(View, frozen=True):
    reconciliations: tuple[ReconciliationView, ...]


def record_view(record: Reconciliation) -> ReconciliationView:
    """One record as it is shown."""
    took_ns = record.ended_at_ns - record.started_at_ns
    return ReconciliationView(
        sweep_id=record.sweep_id,
        account=record.account,
        trigger=record.trigger.value,
        detail=record.detail,
        started_at=instant(record.started_at_ns),
        ended_at=instant(record.ended_at_ns),
        fills_since=instant(record.fills_since_ns),
        fill_pages=record.fill_pages,
        fills_seen=record.fills_seen,
        fills_recovered=record.fills_recovered,
        order_pages=record.order_pages,
        orders_open_at_venue=record.orders_open_at_venue,
        orders_queried=record.orders_queried,
        orders_corrected=record.orders_corrected,
        orders_unresolved=record.orders_unresolved,
        foreign_orders=record.foreign_orders,
        rows_refused=record.rows_refused,
        holdings_compared=record.holdings_compared,
        holdings_unread=record.holdings_unread,
        corrections=tuple(
            CorrectionView(subject=found.subject, evidence=found.evidence) for found in record.corrections
        ),
        differences=tuple(
            DifferenceView(asset=found.asset, difference=found.difference) for found in record.differences
        ),
        complete=record.complete,
        why=record.why,
        took_seconds=span(took_ns),
    )


def select(
    journal: Iterable[Entry], *, account: str | None, incomplete_only: bool, last: int
) -> tuple[ReconciliationView, ...]:
    """The newest records that are asked for, oldest first."""
    kept: deque[Reconciliation] = deque(maxlen=last)
    for entry in journal:
        event = entry.event
        if not isinstance(event, ReconciliationEnded) or account not in {None, event.record.account}:
            continue
        if not incomplete_only or not event.record.complete:
            kept.append(event.record)
    return tuple(record_view(record) for record in kept)


def _selected(
    reader: Reader, *, account: str | None, incomplete_only: bool, last: int
) -> tuple[ReconciliationView, ...]:
    """From the whole journal; where archive files are away, from what is live, which stderr says."""
    try:
        return select(entries(reader), account=account, incomplete_only=incomplete_only, last=last)
    except ArchiveMissing as missing:
        said = printable(str(missing))
        typer.echo(f"tallystick: what came before LSN {reader.first_lsn} is not shown: {said}", err=True)
        live = reader.read(reader.first_lsn)
        return select(live, account=account, incomplete_only=incomplete_only, last=last)


def show_record(found: ReconciliationView, screen: Screen) -> None:
    """One record for people: what started it, what was read, what was found, the verdict."""
    verdict = "complete" if found.complete else f"INCOMPLETE: {found.why}"
    took = f"{float(found.took_seconds):.3f} s"
    screen.line(
        f"{short_instant(found.started_at)} UTC  {found.account}  {verdict}", "bold" if found.complete else "bold red"
    )
    holdings = None
    if found.holdings_compared is not None:
        holdings = f"{found.holdings_compared} assets compared with the book"
    screen.fields(
        [
            ("sweep", f"{found.sweep_id}, took {took}"),
            ("started by", found.trigger + (f": {found.detail}" if found.detail else "")),
            ("fills", f"{found.fills_seen} on {found.fill_pages} pages since {short_instant(found.fills_since)} UTC"),
            ("recovered", ", ".join(found.fills_recovered)),
            (
                "orders",
                (
                    f"{found.orders_open_at_venue} open at the venue on {found.order_pages} pages, "
                    f"{found.orders_queried} asked for one by one"
                ),
            ),
            ("corrected", ", ".join(found.orders_corrected)),
            ("unresolved", ", ".join(found.orders_unresolved)),
            ("foreign", f"{found.foreign_orders} orders of nobody here" if found.foreign_orders else None),
            ("refused", f"{found.rows_refused} rows could not be read" if found.rows_refused else None),
            ("holdings", holdings),
            ("not read", "; ".join(found.holdings_unread)),
            *(("correction", f"{row.subject}: {row.evidence}") for row in found.corrections),
            *(("difference", f"{row.asset}: {row.difference}") for row in found.differences),
        ]
    )


def reconciliations(
    store: StoreArgument = None,
    store_option: StoreOption = None,
    *,
    account: Annotated[
        str | None, typer.Option("--account", "-a", help="Only this account's.", show_default=False)
    ] = None,
    last: Annotated[int, typer.Option("--last", min=1, max=100_000, help="At most so many, the newest.")] = 20,
    incomplete_only: Annotated[bool, typer.Option("--incomplete", help="Only those that were not complete.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Tell of every reconciliation: what started it, what was read, found and corrected, and its verdict."""
    with opened(store or store_option) as reader:
        found = ReconciliationsView(
            reconciliations=_selected(reader, account=account, incomplete_only=incomplete_only, last=last)
        )
        if not found.reconciliations:
            require_known(fold(reader).ledger, account=account)
    if as_json:
        print_json(found)
        return
    screen = Screen()
    if not found.reconciliations:
        screen.line("no reconciliations")
    for record in found.reconciliations:
        show_record(record, screen)
        screen.line()


def reconcile(
    store: LiveStore,
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's name.", show_default=False)],
    *,
    hours: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=24 * 366,
            help="Read fills from so many hours ago; by default as far back as anything is open.",
            show_default=False,
        ),
    ] = None,
    wait_seconds: Annotated[float, typer.Option(min=0, max=3600, help="How long to wait for its record.")] = 120,
    note: NoteOption = "",
    command_id: CommandIdOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have an account reconciled with its venue now, and print the record in which that ends."""
    since_ns = None if hours is None else time.time_ns() - int(hours * NANOSECONDS_AN_HOUR)
    what = Reconcile(account=AccountId(account), since_ns=since_ns)
    done = carry(store, what, note=note, command_id=command_id)
    wait = AwaitReconciliation(account=AccountId(account), since_ns=done.at_ns, within_seconds=wait_seconds)
    answer = ask_runtime(store, wait, timeout_seconds=wait_seconds + LOOK_SECONDS)
    if not isinstance(answer, Reconciled):
        raise Refusal(ExitCode.NOT_ANSWERED, f"the runtime answered with {type(answer).__name__}")
    found = record_view(answer.record)
    if as_json:
        print_json(found)
    else:
        show_record(found, Screen())
    if not found.complete:
        raise typer.Exit(ExitCode.RECONCILIATION_INCOMPLETE)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("reconcile", epilog=RECONCILE_EXAMPLES)(reconcile)
    app.command("reconciliations", epilog=EXAMPLES)(reconciliations)
