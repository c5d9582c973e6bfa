"""Where a start takes its state from, and what is done while it runs so that the next start can.

    newest snapshot ─► older snapshot ─► everything since the beginning, archive files too ─► no start at all

Each step to the right is taken only where the one before cannot be read, and is alerted. State is never invented:
where nothing can be read, the runtime does not start.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

import structlog
import trio

from .model.alert import AlertKind, Severity
from .model.event import Event
from .model.ledger import Ledger, OtherLedger
from .store.archive import Archived
from .store.errors import ArchiveConflict, ArchiveMissing, StateLost, StoreCorrupt, StoreFailed
from .store.port import Journal, Lsn, Records, Snapshot
from .store.retention import Retention

log = structlog.get_logger("tallystick")

SNAPSHOT = "ledger"
"""The name under which the store keeps the ledger."""

ARCHIVE_CHECK_SECONDS = 300.0
ARCHIVE_PAUSE_SECONDS = 1.0
"""Between two files: archiving is never in a hurry, and trading always is."""


class Tell(Protocol):
    """How what goes on here reaches a person. An alert that is open already is not raised twice."""

    def alert(self, kind: AlertKind, subject: str, severity: Severity, text: str) -> None:
        """Raise an alert about a condition; what it is about is in `subject`."""

    def explain(self, kind: AlertKind, subject: str, by: str) -> None:
        """Close it, if it is open: `by` says what ended the condition."""


class Recovered(NamedTuple):
    """The state of a start: the ledger, the snapshot it began with (0 for none), and why not with a newer one.

    `damaged` tells bytes that are not as they were written from a snapshot that is merely another build's.
    """

    ledger: Ledger
    snapshot_lsn: Lsn
    problems: tuple[str, ...] = ()
    damaged: bool = False


def recover(records: Records) -> Recovered:
    """Return the ledger as the journal has it: the newest snapshot that can be used, and everything after it.

    Raises `StateLost` where no snapshot can be used and the beginning of the journal cannot be read either,
    `StoreCorrupt` and `RecordError` where what came after the snapshot cannot be read.
    """
    found = records.read_snapshots(SNAPSHOT)
    problems = [f"the snapshot {damage}" for damage in found.damaged]
    damaged = bool(problems)
    ledger, after = Ledger(), Lsn(0)
    for snapshot in found.intact:
        if snapshot.lsn > records.last_lsn:
            problems.append(f"the snapshot as of {snapshot.lsn} is beyond the journal's end at {records.last_lsn}")
            damaged = True
            continue
        try:
            ledger, after = Ledger.thaw(snapshot.state), snapshot.lsn
            break
        except OtherLedger as error:
            problems.append(f"the snapshot as of {snapshot.lsn} is not for this build: {error}")
        except ValueError as error:
            problems.append(f"the snapshot as of {snapshot.lsn} cannot be used: {error}")
            damaged = True
    if not after and records.first_lsn > 1 and not problems:
        problems.append(f"there is no snapshot, though entries before {records.first_lsn} were archived")
    try:
        for entry in records.read(Lsn(after + 1)):
            if isinstance(entry.event, Event):
                ledger.apply(entry.event, entry.at_ns)
    except (ArchiveMissing, StoreCorrupt) as error:
        if records.first_lsn == 1 or (after and not isinstance(error, ArchiveMissing)):
            raise
        whys = "; ".join(problems) or f"the snapshot as of {after} needs what came after it"
        raise StateLost(
            f"there is no state to start from: {whys}; and what it would be made of anew cannot be read: {error} "
            f"Nothing was changed and nothing is assumed: bring the archive files back, or a copy of the store."
        ) from error
    return Recovered(ledger, after, tuple(problems), damaged)


async def keep_snapshots(
    journal: Journal, ledger: Ledger, tell: Tell, found: Recovered, every_entries: int, check_seconds: float
) -> None:
    """Bound the next recovery: a snapshot of the ledger whenever the tail has grown long, and at once after damage."""
    if found.problems:
        text = "; ".join(found.problems)
        start = f"the one as of {found.snapshot_lsn}" if found.snapshot_lsn else "everything since the beginning"
        text = f"{text}. The start used {start} instead, and the state is whole; a new snapshot is being made"
        if found.damaged:
            tell.alert(AlertKind.STORE_DAMAGED, SNAPSHOT, Severity.CRITICAL, f"{text}. Look at the disk")
        else:
            tell.alert(AlertKind.STORE_DAMAGED, SNAPSHOT, Severity.WARNING, text)
    last = Lsn(0) if found.problems else found.snapshot_lsn
    while journal.failed is None:
        if journal.last_lsn - last >= every_entries or (found.problems and not last):
            last = journal.last_lsn
            await _take_snapshot(journal, ledger, tell)
        await trio.sleep(check_seconds)


async def _take_snapshot(journal: Journal, ledger: Ledger, tell: Tell) -> None:
    """Freeze the ledger, be sure that the bytes are a ledger, store them, and read them back."""
    snapshot = Snapshot(journal.last_lsn, ledger.freeze())
    try:
        problem = await journal.beside(partial(_problem_of, snapshot.state))
        if problem is None:
            journal.put_snapshot(SNAPSHOT, *snapshot)
            await journal.wait_written()
            if snapshot not in journal.read_snapshots(SNAPSHOT).intact:
                problem = "what was read back is not what was written"
    except StoreFailed:
        return  # everyone hears of that another way
    if problem is None:
        tell.explain(AlertKind.STORE_DAMAGED, SNAPSHOT, f"a snapshot as of {snapshot.lsn} was written and verified")
    else:
        text = f"the snapshot as of {snapshot.lsn} is no use: {problem}. Older ones and the journal are kept"
        tell.alert(AlertKind.STORE_DAMAGED, SNAPSHOT, Severity.CRITICAL, text)


def _problem_of(state: bytes) -> str | None:
    """What is wrong with a frozen ledger; None where it comes back as it was."""
    try:
        again = Ledger.thaw(state).freeze()
    except ValueError as error:
        return f"its bytes do not make a ledger again ({error})"
    return None if again == state else "its bytes make another ledger than the one that was frozen"


async def keep_archive(journal: Journal, policy: Retention, tell: Tell, now_ns: Callable[[], int]) -> None:
    """Move entries that the policy lets go to archive files, one file at a time, for as long as the runtime runs."""
    while journal.failed is None:
        pause_seconds = ARCHIVE_CHECK_SECONDS
        try:
            step = await journal.archive_next(policy, now_ns=now_ns())
        except StoreFailed:
            return
        except (OSError, ArchiveConflict, StoreCorrupt) as error:
            text = f"old entries could not be archived and stay in the journal; it is tried again: {error}"
            tell.alert(AlertKind.ARCHIVE_FAILED, "journal", Severity.WARNING, text)
        else:
            tell.explain(AlertKind.ARCHIVE_FAILED, "journal", "archiving goes on")
            if isinstance(step, Archived):
                log.info("old entries were archived", file=step.name, size_bytes=step.size_bytes)
                pause_seconds = ARCHIVE_PAUSE_SECONDS
        await trio.sleep(pause_seconds)
