"""`tallystick audit verify`: whether anything that was exchanged with a venue was changed since."""

import re
from typing import Annotated

import typer

from ..store import AuditHead, verify
from .errors import Commands, Refusal
from .exit_codes import ExitCode
from .output import Screen, View, print_json
from .reading import JsonOption, StoreArgument, StoreOption, opened

EXAMPLES = f"""\b
Examples:
  tallystick audit verify var/main
  tallystick audit verify var/main --json | jq -r .head >> /elsewhere/heads
  tallystick audit verify var/main --noted "$(tail -1 /elsewhere/heads)"

\b
Ends with {ExitCode.AUDIT_BROKEN.value} where the chain is broken.
"""

_HEAD = re.compile(r"(\d{1,18}):([0-9a-f]{64})")


class BadPlace(View, frozen=True):
    """The first record that is not as it was: its number in the chain, its LSN where that is known, and why."""

    number: int
    lsn: int | None
    reason: str


class AuditView(View, frozen=True):
    """`records` were expected, `verified` are intact from the first on. `head` is what to note elsewhere."""

    intact: bool
    records: int
    verified: int
    first_bad: BadPlace | None
    head: str


def verify_chain(
    store: StoreArgument = None,
    store_option: StoreOption = None,
    *,
    noted: Annotated[
        str | None,
        typer.Option(
            metavar="COUNT:HASH",
            help="A head that was noted elsewhere earlier; shows a chain that was rewritten as a whole.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Recompute the audit chain, and say how much of it is intact and where it first breaks."""
    head = None if noted is None else _head(noted)
    with opened(store or store_option) as reader:
        report = verify(reader, noted=head)
    bad = None
    if report.first_bad is not None:
        bad = BadPlace(number=report.first_bad.number, lsn=report.first_bad.lsn, reason=report.reason or "")
    found = AuditView(
        intact=report.intact,
        records=report.records,
        verified=report.verified,
        first_bad=bad,
        head=f"{report.head.count}:{report.head.digest.hex()}",
    )
    if as_json:
        print_json(found)
    else:
        Screen().line(str(report))
    if not report.intact:
        raise typer.Exit(ExitCode.AUDIT_BROKEN)


def _head(text: str) -> AuditHead:
    shape = _HEAD.fullmatch(text.strip())
    if shape is None:
        raise Refusal(
            ExitCode.USAGE, f"--noted is {text[:80]!r}; expected COUNT:HASH as `audit verify` prints its head"
        )
    return AuditHead(int(shape[1]), bytes.fromhex(shape[2]))


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        cls=Commands,
        help="Look at the chain of everything exchanged with venues.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("verify", epilog=EXAMPLES)(verify_chain)
    app.add_typer(group, name="audit")

    @group.callback()
    def _audit() -> None:
        pass
