"""What can go wrong between actors, and whose doing it was.

::

    ActorError
    ├── DomainError            a handler refuses a request; its actor is well and lives on
    │   └── ChildError         … a supervisor, because its table of children does not allow the operation
    ├── WouldBlock             a blocking wait on the thread that must not block: programming error
    ├── CallCycle              a request that could only be answered by its own asker: programming error
    ├── NoActorSystem          an actor was started where no system is active: programming error
    ├── MailboxFull            the receiver is overloaded; nothing was accepted
    ├── MailboxOverflow        a lane that must not lose messages did overflow: its actor crashes
    ├── MessageExpired         the deadline passed before the message was handled; it was not
    ├── OutcomeUnknown         the request may or may not have had its effect
    │   └── ActorRestarted     … because the actor crashed while it was serving the request
    ├── StartFailed            an actor or a supervisor could not start
    ├── StartTimeout           … because it did not acknowledge its start in time
    ├── StartIgnored           raised by an actor in its own start: it is not needed
    ├── RestartRequested       the reason of a restart that an operator asked for
    ├── TaskCrashed            a task of an actor failed and the actor has no handler for that
    └── WatchedActorDied       a watched actor ended and the watcher has no handler for that

    pykka.ActorDeadError       the receiver has ended; the message was not handled
    pykka.Timeout              no answer in time: also an unknown outcome
"""

from __future__ import annotations


class ActorError(Exception):
    """The root of the kernel's own errors."""


class DomainError(ActorError):
    """Refuses a request: the asker receives this error and the actor lives on.

    Every other exception of a handler is a defect and crashes the actor. Subclass it for refusals, or name
    further types in ``Actor.domain_errors``.
    """


class WouldBlock(ActorError):
    """A blocking wait was tried on the thread that runs the actors, where it could never end.

    Await the future, use ``await ref.ask_async(...)``, or ``self.ask_for_reply(...)`` inside a handler.
    """


class CallCycle(ActorError):
    """A request would travel back to an actor that waits for its answer, so no answer could come."""


class NoActorSystem(ActorError):
    """No actor system is active here; use ``system.spawn(...)`` or ``with system.activate():``."""


class MailboxFull(ActorError):
    """The receiver's mailbox is at its bound and the message was refused; the sender decides what next."""


class MailboxOverflow(ActorError):
    """A lane whose messages must never be dropped is full; its actor crashes so that it resynchronises."""


class MessageExpired(ActorError):
    """The message's deadline passed while it waited; it was refused unprocessed."""


class OutcomeUnknown(ActorError):
    """The request may or may not have had its effect; read the state again before acting."""


class ActorRestarted(OutcomeUnknown):
    """The actor crashed while it served the request. Whether it restarts is its supervisor's decision."""

    def __init__(self, path: str, incarnation: int) -> None:
        super().__init__(f"{path} crashed in incarnation {incarnation} while serving the request: outcome unknown")
        self.path = path
        self.incarnation = incarnation


class StartFailed(ActorError):
    """An actor could not start; the message names it and the reason."""


class StartTimeout(ActorError):
    """An actor deferred the acknowledgement of its start and did not give it in time."""


class StartIgnored(ActorError):
    """Raise it in ``__init__`` or ``on_start`` to say that the actor is not needed: no failure, no actor."""


class RestartRequested(ActorError):
    """The reason of a restart that an operator asked for."""


class ChildError(DomainError):
    """The supervisor's table of children does not allow the operation (unknown, present or running child)."""


class TaskCrashed(ActorError):
    """A task owned by the actor failed and the actor does not handle ``TaskFailed``."""


class WatchedActorDied(ActorError):
    """A watched actor ended and the watcher does not handle ``Down``: silence must be a decision."""
