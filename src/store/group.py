"""The owner's half of a store, whichever disk is below: appends gather, commits come in groups.

    append ─► gathering ──(end of the scheduler's tick, disk idle)──► in flight ──(commit)──► durable
                 ▲                                                       │
                 └────────── what came meanwhile is the next group ◄─────┘

Everything here runs on the owner's trio thread, so there are no locks. A disk gets one batch at a time and says on
the same thread when it is safe. Rows that are not committed yet are an overlay over the disk: two dictionaries.
"""

import os
import weakref
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

import trio

from .archive import Archived
from .audit import AUDIT_HEAD_KEY, START, AuditHead, AuditRecord, pack_row
from .batch import Disk
from .errors import (
    FailureReason,
    InvalidKey,
    InvalidValue,
    StoreClosed,
    StoreFailed,
    StoreForked,
)
from .group_records import GroupRecords
from .port import Event, Lsn, Snapshot
from .reading import (
    pack_number,
    pack_snapshot,
    snapshot_slots,
    unpack_snapshot,
)
from .retention import PRUNE_PAUSE_SECONDS, Retention, Step, next_step
from .schema import AUDIT, KEY_BYTES_MAX, META, SNAPSHOTS, Schema
from .waiting import Waiting

T = TypeVar("T")

SLOW_SECONDS = 2.0
"""A commit that takes longer than this lets nothing new begin (`congestion`)."""
STALLED_SECONDS = 10.0
"""A commit that takes longer fails the store, so that cancels no longer wait for it. It bounds memory, too: what
gathers is at most what comes in that time."""
BACKLOG_ENTRIES_MAX = 50_000

_living: "weakref.WeakSet[GroupJournal]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for journal in list(_living):
        journal._forked()  # noqa: SLF001  # this function is that class's own hook


os.register_at_fork(after_in_child=_after_fork_in_child)


class GroupJournal(GroupRecords):
    """The owner's store over some disk. Use it as an async context manager; see `Journal` for the verbs."""

    def __init__(self, disk: Disk, schema: Schema, *, on_failure: Callable[[StoreFailed], None] | None = None) -> None:
        super().__init__(disk, schema)
        self._schema = schema
        self._on_failure = on_failure
        self.failed: StoreFailed | None = None
        self.epoch = 0
        self.durable_lsn = Lsn(0)
        self._audit_head = START
        self._refusal: StoreFailed | None = self._unreadable
        self._waiting = Waiting()
        self._draining = False
        self._wake = trio.Event()
        self._sleepers: set[trio.Event] = set()
        self._archiving = trio.Lock()
        self._unwatched = trio.Event()
        self._handed_over_at = 0.0

    # Life: start, run, end.

    async def start(self) -> None:
        """Open the disk as a new epoch. Raises `StoreUnavailable`."""
        opened = await self._disk.open(self._on_commit)
        try:
            head = self._disk.get(META, AUDIT_HEAD_KEY)
            self._audit_head = START if head is None else AuditHead.unpack(head)
        except BaseException:
            with trio.CancelScope(shield=True):
                await self._disk.close()
            raise
        self.epoch = opened.epoch
        self.first_lsn = opened.first_lsn
        self.last_lsn = self.durable_lsn = opened.last_lsn
        self._gathering = self._disk.new_batch(Lsn(self.last_lsn + 1))
        self._refusal = self._unreadable = None
        _living.add(self)
        # A system task, so that a cancelled owner can still close: it must outlive the owner's scopes.
        trio.lowlevel.spawn_system_task(self._pump, name="store pump")
        trio.lowlevel.spawn_system_task(self._watch, name="store watch")

    async def close(self) -> None:
        """Commit what is pending, then stop. Appends after this raise `StoreClosed`."""
        if self._unreadable is not None:
            return
        closed = StoreClosed(FailureReason.CLOSED, "its owner closed it")
        self._refusal = self._refusal or closed
        with trio.CancelScope(shield=True):
            if self.failed is None:
                self._hand_over()
                while self.pending:
                    await self._sleep()
            self._refusal = self._unreadable = closed
            self._wake.set()
            self._unwatched.set()
            _living.discard(self)
            if self.failed is not None and self.failed.reason is FailureReason.STALLED:
                self._disk.abandon()  # it may never answer, and nobody is to wait for it
            else:
                await self._disk.close()
        self._waiting.clear()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
        if exc is None and self.failed is not None and self.failed.reason is not FailureReason.CRASHED:
            raise self.failed  # nobody leaves a failed store without noticing

    # Appending.

    def append(self, *events: Event, at_ns: int, cause: int = 0) -> Lsn:
        """Append events as one atomic group and return the LSN of the last; see `Journal.append`."""
        if self._refusal is not None:
            raise self._refusal
        codec, schema, tables, epoch = self._codec, self._schema, self._tables, self.epoch
        located = schema.located_indexer
        lsn: int = self.last_lsn
        head = self._audit_head
        records: list[bytes] = []
        puts: list[tuple[str, bytes, bytes | None]] = []
        for event in events:
            lsn += 1
            record = codec.encode(event, lsn, epoch, at_ns, cause)
            records.append(record)
            rows = schema.indexer(event) if located is None else schema.rows(event, Lsn(lsn))
            for table, key, value in rows:
                if table not in tables:
                    raise self._unknown_table(table)
                data = key.encode() if key.__class__ is str else key
                if not 0 < len(data) <= KEY_BYTES_MAX:
                    raise _invalid_key(table, key)
                if value.__class__ is not bytes and value is not None:
                    raise _invalid_value(table, key, value)
                puts.append((table, data, value))  # type: ignore[arg-type]  # the class test above is a fast isinstance
            if event.__class__ is AuditRecord:
                head = head.following(record)
                puts.append((AUDIT, pack_number(head.count), pack_row(lsn, head.digest)))
        # Nothing above changed the store; nothing below can fail. So the group is atomic here, too.
        if head is not self._audit_head:
            self._audit_head = head
            puts.append((META, AUDIT_HEAD_KEY, head.pack()))
        self._gathering.add(records, puts)
        self.last_lsn = Lsn(lsn)
        if self._in_flight is None:  # otherwise the end of that commit hands over
            self._wake.set()
        return self.last_lsn

    def put_snapshot(self, entity: str, lsn: Lsn, state: bytes) -> None:
        """Keep the state of an entity as of `lsn`; the two newest are kept."""
        if self._refusal is not None:
            raise self._refusal
        if not 0 < lsn <= self.last_lsn:
            raise ValueError(f"a snapshot of {entity!r} at {lsn} is outside of the journal 1..{self.last_lsn}")
        slots = snapshot_slots(entity)
        kept = [unpack_snapshot(self.get(SNAPSHOTS, slot) or b"") for slot in slots]
        ages = [snapshot.lsn if isinstance(snapshot, Snapshot) else 0 for snapshot in kept]
        # A snapshot replaces the one of its own LSN, else a missing or damaged one, else the older.
        slot = slots[ages.index(lsn if lsn in ages else min(ages))]
        self._add_rows([(SNAPSHOTS, slot, pack_snapshot(lsn, state))])

    def drop_snapshots(self, entity: str) -> None:
        """Forget the snapshots of an entity that has ended."""
        if self._refusal is not None:
            raise self._refusal
        self._add_rows([(SNAPSHOTS, slot, None) for slot in snapshot_slots(entity)])

    def _add_rows(self, puts: list[tuple[str, bytes, bytes | None]]) -> None:
        self._gathering.add([], puts)
        self._wake.set()

    async def _commit(self, puts: list[tuple[str, bytes, bytes | None]], *, prune_below: Lsn | None = None) -> None:
        """Write rows of the store's own, and return once they are durable. Raises `StoreFailed`."""
        if self._refusal is not None:
            raise self._refusal
        self._gathering.add([], puts)
        if prune_below is not None:
            self._gathering.prune(prune_below)
        self._wake.set()
        await self.wait_written()

    # Retention.

    async def archive_next(self, policy: Retention, *, now_ns: int) -> Archived | str:
        """Move the oldest entries into one archive file; see `Journal.archive_next`."""
        if self._refusal is not None:
            raise self._refusal
        async with self._archiving:
            # What was archived before is taken out first, so that the journal never holds much of both.
            await self._prune()
            step = await self._disk.run(partial(next_step, self._disk, policy, self.durable_lsn, now_ns))
            if not isinstance(step, Step):
                return step
            await self._disk.run(step.write)
            await self._commit(step.rows())
            self.first_lsn = self._disk.first_lsn
            await self._prune()
        return step.archived

    async def _prune(self) -> None:
        """Take out of the journal what archive files hold, a little in each commit."""
        while self._disk.has_archived():
            await self._commit([], prune_below=self.first_lsn)
            await trio.sleep(PRUNE_PAUSE_SECONDS)

    # Durability.

    @property
    def congestion(self) -> str | None:
        """Why nothing new should be begun, as the disk does not keep up; None while it does."""
        if self._in_flight is None or self.failed is not None:
            return None
        waiting = len(self._gathering.records)
        if waiting > BACKLOG_ENTRIES_MAX:
            return f"{waiting} entries wait for the disk, at most {BACKLOG_ENTRIES_MAX} may"
        seconds = trio.current_time() - self._handed_over_at
        if seconds > SLOW_SECONDS:
            return f"a commit has taken {seconds:.1f} s so far, more than {SLOW_SECONDS:g} s"
        return None

    async def _watch(self) -> None:
        """Fail the store where a commit does not end: what waits for it would wait for ever, and memory would fill."""
        while self._unreadable is None:
            self._unwatched = trio.Event()
            await self._unwatched.wait()
            while (batch := self._in_flight) is not None and self.failed is None:
                await trio.sleep_until(self._handed_over_at + STALLED_SECONDS)
                if self._in_flight is batch:
                    why = (
                        f"a commit has not ended within {STALLED_SECONDS:g} s; nothing further is accepted, reads go on"
                    )
                    self._fail(StoreFailed(FailureReason.STALLED, why))

    @property
    def pending(self) -> int:
        """How many records and rows are not yet durable. Zero after a failure: they never will be."""
        if self.failed is not None:
            return 0
        batches = (self._gathering,) if self._in_flight is None else (self._in_flight, self._gathering)
        return sum(len(batch.records) + batch.rows_count for batch in batches)

    def when_durable(self, lsn: Lsn, action: Callable[[], None]) -> None:
        """Run `action` once everything up to `lsn` is durable; see `Journal.when_durable`."""
        if lsn > self.last_lsn:
            raise ValueError(f"LSN {lsn} is not appended yet; the last is {self.last_lsn}")
        if lsn <= self.durable_lsn and not self._draining:
            action()
        elif self.failed is None:
            self._waiting.put(lsn, action)

    async def wait_durable(self, lsn: Lsn) -> None:
        """Return once everything up to `lsn` is durable. Raises `StoreFailed` if that will not happen."""
        if lsn > self.last_lsn:
            raise ValueError(f"LSN {lsn} is not appended yet; the last is {self.last_lsn}")
        await trio.lowlevel.checkpoint()
        while self.durable_lsn < lsn:
            if self.failed is not None:
                raise self.failed
            await self._sleep()

    async def wait_written(self) -> None:
        """Return once everything handed in until now is durable, rows too. Raises `StoreFailed`."""
        batch = self._gathering if self._gathering.records or self._gathering.rows_count else self._in_flight
        await trio.lowlevel.checkpoint()
        while batch is not None and (batch is self._gathering or batch is self._in_flight):
            if self.failed is not None:
                raise self.failed
            await self._sleep()
        if self.failed is not None:
            raise self.failed

    async def beside(self, work: Callable[[], T]) -> T:
        """Do work that takes long beside the loop; it must touch nothing that the loop touches."""
        return await self._disk.run(work)

    async def _sleep(self) -> None:
        """Sleep until a commit ends or the store fails."""
        event = trio.Event()
        self._sleepers.add(event)
        try:
            await event.wait()
        finally:
            self._sleepers.discard(event)

    def _wake_sleepers(self) -> None:
        for event in self._sleepers:
            event.set()

    async def _pump(self) -> None:
        """Hand over what has gathered, at most once in a tick of the scheduler."""
        try:
            while not isinstance(self._refusal, StoreClosed):
                await self._wake.wait()
                self._wake = trio.Event()
                self._hand_over()
        finally:
            if self._unreadable is None and not isinstance(self._refusal, StoreClosed):
                # The whole run ends and nobody closed the store: free it, or its lock outlives its owner.
                self._refusal = self._unreadable = StoreClosed(FailureReason.CLOSED, "its owner's run ended")
                _living.discard(self)
                self._disk.abandon()

    def _hand_over(self) -> None:
        batch = self._gathering
        if self._in_flight is not None or self.failed is not None or not (batch.records or batch.rows_count):
            return
        self._in_flight = batch
        self._handed_over_at = trio.current_time()
        self._gathering = self._disk.new_batch(Lsn(self.last_lsn + 1))
        self._disk.begin_commit(batch)
        if self._in_flight is not None:
            self._unwatched.set()

    def _on_commit(self, failure: StoreFailed | None) -> None:
        """Hear from the disk that the batch in flight is durable, or why it is not."""
        batch = self._in_flight
        if batch is None or self.failed is not None:
            return
        if failure is not None:
            self._fail(failure)
            return
        self._in_flight = None
        self.durable_lsn = batch.last_lsn
        self._hand_over()  # before the actions, so that the disk works while they run
        self._drain()
        self._wake_sleepers()

    def _drain(self) -> None:
        self._draining = True
        failure = None
        while failure is None and (action := self._waiting.pop_through(self.durable_lsn)) is not None:
            try:
                action()
            except Exception as error:  # noqa: BLE001  # whatever it was, the order is broken: stop, and say so
                if isinstance(error, StoreClosed) and isinstance(self._refusal, StoreClosed):
                    # While the store closes, an effect may find that it can record nothing more. So it did not
                    # happen, its cause is durable, and the next owner takes it up from there.
                    continue
                failure = StoreFailed(FailureReason.ACTION_RAISED, f"{type(error).__name__}: {error}")
                failure.__cause__ = error
        self._draining = False
        if failure is not None:
            self._fail(failure)

    def _fail(self, failure: StoreFailed) -> None:
        """Stop accepting. What was not durable stays invisible: its actions never run."""
        if self.failed is not None:
            return
        self.failed = failure
        self._refusal = self._refusal or failure
        self._waiting.clear()
        self._wake_sleepers()
        if self._on_failure is not None:
            self._on_failure(failure)

    def _forked(self) -> None:
        # In the child only; the parent's object is another one by now.
        self.failed = self._refusal = self._unreadable = StoreForked(
            FailureReason.FORKED, f"process {os.getpid()} must open its own reader; the owner goes on unharmed"
        )
        self._waiting.clear()
        self._disk.forked()


def _invalid_key(table: str, key: bytes | str) -> InvalidKey:
    return InvalidKey(
        f"a key of table {table!r} must have 1 to {KEY_BYTES_MAX} bytes, got {len(key)}: {key[:40]!r}; "
        f"nothing was recorded"
    )


def _invalid_value(table: str, key: bytes | str, value: object) -> InvalidValue:
    return InvalidValue(
        f"the value of table {table!r}, key {key[:40]!r} must be bytes or None, got {type(value).__name__}; "
        f"nothing was recorded"
    )
