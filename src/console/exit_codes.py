"""What the process says with its last number, so that a unit file or a script can act on it.

`docs` and ``tallystick --help`` list these from here. 1 stays what it is everywhere: an error nobody foresaw.
"""

from enum import IntEnum
from typing import Self


class ExitCode(IntEnum):
    """One number for each way to end; `meaning` is its line in the help."""

    meaning: str

    def __new__(cls, number: int, meaning: str) -> Self:
        code = int.__new__(cls, number)
        code._value_ = number
        code.meaning = meaning
        return code

    OK = 0, "done as asked"
    UNFORESEEN = 1, "an error that nobody foresaw; the traceback is on stderr"
    USAGE = 2, "the command line is not understood"
    CONFIGURATION = 10, "the configuration is bad; every problem is on stderr"
    CREDENTIALS_MISSING = 11, "there are no credentials where the configuration says"
    CREDENTIALS_EXPOSED = 12, "the credentials can be read or replaced by others"
    CREDENTIALS_UNUSABLE = 13, "the credentials are not what they should be"
    STORE_MISSING = 20, "there is no store at that path"
    STORE_LOCKED = 21, "another runtime holds the store"
    STORE_NEWER = 22, "the store was written by a newer build"
    STORE_CORRUPT = 23, "that is no store, or it is damaged"
    STORE_UNSUITABLE = 24, "the file system or a setting cannot carry a store"
    STORE_FAILED = 25, "the disk is full, or the store failed while it was open"
    STATE_LOST = 26, "there is no state to start from: neither a snapshot nor the whole past can be read"
    ARCHIVE_MISSING = 27, "the archive file that holds what was asked for is not there"
    ARCHIVE_CONFLICT = 28, "another file lies where an archive file is to be written"
    CONTROL_UNAVAILABLE = 29, "the control socket cannot be opened"
    CLOCK_OFF = 30, "the machine's clock differs from the venue's by too much"
    VENUE_UNREACHABLE = 31, "the venue cannot be reached"
    GAVE_UP = 32, "the root supervisor gave up after too many restarts"
    NOT_LIVE = 33, "an account did not become live in time; why is on stderr"
    DEMO_UNLAWFUL = 40, "the demo's outcome is not what the laws demand"
    AUDIT_BROKEN = 41, "the audit chain is broken"
    INTENTS_REFUSED = 42, "some intents were refused, each with its reason; the others have ended"
    NOT_FOUND = 44, "the store holds nothing, or more than one thing, of that name"
    COMMAND_REFUSED = 45, "the runtime refused the command, and nothing was done; why is on stderr"
    NOT_RUNNING = 46, "no runtime that takes commands runs on that store"
    NOT_ALLOWED = 47, "the runtime belongs to another user"
    NOT_ANSWERED = 48, "the runtime did not answer in time; the same command id asks what became of it"
    RECONCILIATION_INCOMPLETE = 49, "the account was reconciled, but not everything could be read"
    LAW_BROKEN = 50, "a drawn day broke a law; the command that replays it is printed"
    SITUATION_UNMET = 51, "a long campaign never met a situation that it must meet"
    INTERRUPTED = 130, "interrupted from the keyboard"


def exit_codes_help() -> str:
    """The table of codes for the help, one a line."""
    return "\n".join(f"  {code.value:>3}  {code.meaning}" for code in ExitCode)
