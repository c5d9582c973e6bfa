"""What an operator can have a running runtime do, on the runtime's own loop: for the socket and for embedding hosts."""

import os
import pwd

import pykka
import trio

from ..actors.context import Context, Leaving, Paths
from ..actors.kernel import MailboxFull, OutcomeUnknown
from ..actors.messages import Carried, Operate
from ..model.account import Reconciliation
from ..model.identifiers import AccountId, CommandId
from ..model.operator import Command, Operator

ANSWER_SECONDS = 120.0
"""Longer than an examination of the venue may take: the desk always answers before."""
LOOK_SECONDS = 0.05


class NotAnswered(Exception):
    """Whether the command was carried out is not known here; the journal knows, and the same command id asks it."""


class NotTaken(Exception):
    """The runtime is stopping, or too many commands wait: this one was not taken, and nothing was done."""


def this_operator() -> Operator:
    """Who runs this process, by the machine's own table of users."""
    return operator_of(os.geteuid())


def operator_of(uid: int, claimed: str = "") -> Operator:
    """The operator behind a user id; one without a name in the machine's table is called by the number."""
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    return Operator(uid=uid, user=user, claimed=claimed if claimed != user else "")


class Operations:
    """Commands to one runtime. Everything here is called on the runtime's loop."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def new_command_id(self) -> CommandId:
        """An id that no command of this store has had: a seed repeats its draws, the count of starts does not."""
        return CommandId(f"{self._context.ledger.started}-{self._context.system.random.getrandbits(48):012x}")

    async def operate(self, command: Command, *, operator: Operator, note: str, command_id: CommandId) -> Carried:
        """Have a command carried out; returns once it is durable.

        Raises `CommandRefused` with the reason, `StoreFailed` where nothing can be recorded any more, `NotTaken` where
        the runtime is stopping, and `NotAnswered` where the outcome is not known.
        """
        message = Operate(command_id=command_id, operator=operator, command=command, note=note)
        try:
            carried = await self._ask(message)
        except (Leaving, KeyError, pykka.ActorDeadError, MailboxFull) as error:
            raise NotTaken(f"the command was not taken: {error}") from error
        except (pykka.Timeout, OutcomeUnknown) as error:
            raise NotAnswered(f"{error}; send the same command id {command_id} again to learn what became of it") from (
                error
            )
        if not isinstance(carried, Carried):
            # An orderly stop overtook the desk in the middle: what of it was recorded, the next start knows.
            raise NotAnswered(
                f"the runtime stops; send command id {command_id} to the next one to learn what became of it"
            )
        return carried

    async def _ask(self, message: Operate) -> object:
        """Ask the desk, and give up when the store fails under its answer: that one never becomes durable."""
        journal = self._context.recorder.journal
        desk = self._context.ref(Paths.OPERATOR)
        answers: list[object] = []
        errors: list[Exception] = []
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                try:
                    answers.append(await desk.ask_async(message, timeout=ANSWER_SECONDS))
                except Exception as error:  # noqa: BLE001 - carried out of the nursery as it is, not in a group
                    errors.append(error)
                nursery.cancel_scope.cancel()

            was_failed = journal.failed is not None
            nursery.start_soon(ask)
            while was_failed or journal.failed is None:  # noqa: ASYNC110 - the journal tells its owner alone
                await trio.sleep(LOOK_SECONDS)
            nursery.cancel_scope.cancel()
        if errors:
            raise errors[0]
        if not answers:
            assert journal.failed is not None
            raise journal.failed
        return answers[0]

    async def wait_reconciled(self, account: AccountId, since_ns: int) -> Reconciliation:
        """Wait for the record of the first reconciliation that began at or after `since_ns`. It may take for ever."""
        while True:
            record = self._context.ledger.account(account).last_reconciliation
            if record is not None and record.started_at_ns >= since_ns:
                return record
            await trio.sleep(LOOK_SECONDS)

    def state_of(self, account: AccountId) -> str:
        """How an account stands, in a few words."""
        entry = self._context.ledger.account(account)
        return f"{account} is {entry.state}: {entry.reason}" if entry.reason else f"{account} is {entry.state}"
