"""`tallystick archive`: move old entries of a stopped store to archive files, or say what would be moved."""

import time
from pathlib import Path
from typing import Annotated

import trio
import typer

from ..configuration import RuntimeConfiguration, load_configuration
from ..model.timestamps import NotATime, parse_rfc3339
from ..runtime import build_version
from ..store import Archived, Reader, Retention, open_reader, open_store
from ..store.archive import file_name
from ..store.lmdb_store import MAP_SIZE_BYTES_MAX
from ..store.records import journal_schema
from ..store.retention import Run
from .errors import Refusal
from .exit_codes import ExitCode
from .output import Screen, View, print_json
from .reading import JsonOption, StoreArgument, StoreOption, store_path
from .text import instant, short_instant

EXAMPLES = """\b
Examples:
  tallystick archive config/polymarket.toml --dry-run
  tallystick archive var/main --before 2026-11-01
  tallystick archive var/main --before 2026-11-01T00:00:00Z --json

\b
A running runtime archives by itself, as [runtime.retention] of its configuration says. Entries stay readable: every
command reads on through the files in STORE/archive. Take a copy of the whole directory, not of data.mdb alone.
"""


class FileView(View, frozen=True):
    """One archive file: its range, when its first and last entry were recorded, and its size where it is written."""

    file: str
    first_lsn: int
    last_lsn: int
    first_at: str
    last_at: str
    size_bytes: int | None


class ArchiveView(View, frozen=True):
    """`archived` is what was moved, or would be; `kept` says why the rest stays; `missing` are files that are away."""

    store: str
    dry_run: bool
    archived: tuple[FileView, ...]
    kept: str
    first_lsn: int
    last_lsn: int
    files: int
    missing: tuple[str, ...]


def archive(
    store: StoreArgument = None,
    store_option: StoreOption = None,
    *,
    before: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Archive what was recorded before this time (a date, or RFC 3339), whatever the configuration keeps.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be archived, and change nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Move the oldest entries of a stopped store to archive files beside it.

    Nothing goes that a start needs: entries after the oldest snapshot stay. Each file is read back before its entries
    leave the journal.
    """
    place = store or store_option
    directory = store_path(place)
    runtime = _configured(place)
    now_ns = time.time_ns()
    policy = Retention() if runtime is None else runtime.retention
    if before is not None:
        policy = Retention(keep_days=0, keep_entries=0, whole_files=False)
        now_ns = _time(before)
    if policy is None:
        raise Refusal(ExitCode.USAGE, f"{place} says that nothing is archived; say --before what is to go all the same")
    if dry_run:
        with open_reader(directory, journal_schema()) as reader:
            runs, kept = reader.plan_archive(policy, now_ns=now_ns)
            found = _view(reader, tuple(_planned(run) for run in runs), kept, dry_run=True, place=directory)
    else:
        with open_reader(directory, journal_schema()):
            pass  # where there is no store, none is to be made
        moved, kept = trio.run(_archive_all, directory, runtime, policy, now_ns)
        with open_reader(directory, journal_schema()) as reader:
            found = _view(reader, tuple(_moved(known) for known in moved), kept, dry_run=False, place=directory)
    if as_json:
        print_json(found)
    else:
        show(found, Screen())


def _configured(place: Path | None) -> RuntimeConfiguration | None:
    if place is None or not (place.suffix == ".toml" or place.is_file()):
        return None
    return load_configuration(place).runtime


def _time(text: str) -> int:
    try:
        return parse_rfc3339(text if "T" in text.upper() else f"{text}T00:00:00Z")
    except NotATime as error:
        raise Refusal(ExitCode.USAGE, f"--before: {error}") from None


async def _archive_all(
    directory: Path, runtime: RuntimeConfiguration | None, policy: Retention, now_ns: int
) -> tuple[list[Archived], str]:
    """Archive file by file, as the store's owner: where a runtime holds it, this raises `StoreLocked`."""
    moved: list[Archived] = []
    async with open_store(
        directory,
        journal_schema(),
        owner="tallystick archive",
        build=build_version(),
        map_size_bytes_max=MAP_SIZE_BYTES_MAX if runtime is None else runtime.map_size_bytes_max,
    ) as journal:
        while isinstance(step := await journal.archive_next(policy, now_ns=now_ns), Archived):
            moved.append(step)
    return moved, step


def _planned(run: Run) -> FileView:
    return FileView(
        file=file_name(run.first_lsn, run.last_lsn),
        first_lsn=run.first_lsn,
        last_lsn=run.last_lsn,
        first_at=instant(run.first_at_ns),
        last_at=instant(run.last_at_ns),
        size_bytes=None,
    )


def _moved(known: Archived) -> FileView:
    return FileView(
        file=known.name,
        first_lsn=known.first_lsn,
        last_lsn=known.last_lsn,
        first_at=instant(known.first_at_ns),
        last_at=instant(known.last_at_ns),
        size_bytes=known.size_bytes,
    )


def _view(reader: Reader, files: tuple[FileView, ...], kept: str, *, dry_run: bool, place: Path) -> ArchiveView:
    known = reader.archive_files()
    return ArchiveView(
        store=str(place),
        dry_run=dry_run,
        archived=files,
        kept=kept,
        first_lsn=reader.first_lsn,
        last_lsn=reader.last_lsn,
        files=len(known),
        missing=tuple(found.name for found, there in known if not there),
    )


def show(found: ArchiveView, screen: Screen) -> None:
    """The same for people."""
    screen.fields(
        [
            ("store", found.store),
            ("journal", f"LSN {found.first_lsn} to {found.last_lsn}"),
            ("archive files", str(found.files)),
            ("kept", found.kept),
            ("NOT THERE", ", ".join(found.missing)),
        ]
    )
    screen.title("Would be archived" if found.dry_run else "Archived now")
    screen.table(
        ("file", "#first", "#last", "from (UTC)", "to (UTC)", "#bytes"),
        [
            (
                row.file,
                str(row.first_lsn),
                str(row.last_lsn),
                short_instant(row.first_at),
                short_instant(row.last_at),
                None if row.size_bytes is None else str(row.size_bytes),
            )
            for row in found.archived
        ],
        empty="nothing",
    )


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("archive", epilog=EXAMPLES)(archive)
