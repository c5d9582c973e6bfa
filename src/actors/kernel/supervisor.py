"""The supervisor: an actor that starts, restarts and stops others by the rules of its specification.

What takes several steps (start the children in order, stop a group in reverse and start it again) is a *job*: a
generator that yields the children it waits for and is resumed with what happened to them. A job is never in the
way: a stop closes every job, and the failure of a sibling replaces the restart of a smaller group.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from .actor import Actor, handles
from .child_table import (
    ChildCounts,
    ChildInfo,
    CountChildren,
    DeleteChild,
    RestartChild,
    StartChild,
    TerminateChild,
    WhichChildren,
)
from .errors import ChildError, StartFailed
from .jobs import NO_JOB, Afterwards, Child, ChildEvent, Job, RetryRestart, StartSteps, Steps, Wake
from .messages import (
    KILLED,
    NORMAL,
    SHUTDOWN,
    ChildEnded,
    ChildIgnored,
    ChildStarted,
    ChildStartFailed,
    ExitKind,
    ExitReason,
)
from .reports import ChildTerminated, Progress, ShutdownError, StartError, SupervisorGaveUp
from .spec import UNLIMITED, ChildSpec, SupervisorSpec
from .supervision_rules import RestartWindow, backoff_seconds, ends_supervisor, restart_group, wants_restart
from .timers import Timer

if TYPE_CHECKING:
    from .cell import Cell
    from .future import Future
    from .ref import ActorRef


class Supervisor(Actor):
    """Keeps its children by a SupervisorSpec. Put the spec into a ChildSpec as its factory."""

    def __init__(self, spec: SupervisorSpec) -> None:
        super().__init__()
        self._spec = spec
        self._dynamic = spec.strategy == "simple_one_for_one"
        self._children: dict[str, Child] = {} if self._dynamic else {child.id: Child(child) for child in spec.children}
        self._window = RestartWindow(spec.intensity, spec.period_seconds)
        self._jobs: dict[Job, None] = {}  # a dict, because a set's order would differ from run to run
        self._current_job: Job = NO_JOB
        self._group_job: Job | None = None
        self._phase: Literal["starting", "running", "stopping"] = "starting"
        self._ended_while_starting: list[Child] = []

    @property
    def spec(self) -> SupervisorSpec:
        """The rules in force."""
        return self._spec

    # --- start --------------------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Starts the children in order; the supervisor has started when the last of them has."""
        self.defer_start_without_limit()
        self._begin(Job(self._start_all(), then=self._judge_early_ends))

    def defer_start_without_limit(self) -> None:
        """Puts the acknowledgement off; each child's own start timeout bounds the whole."""
        self._cell.hold_start()

    def _start_all(self) -> Steps:
        started: list[Child] = []
        for child in tuple(self._children.values()):
            if child.state != "idle":
                continue  # added by somebody before this supervisor had its first turn
            event = yield from self._start(child)
            if isinstance(event, ChildStarted):
                started.append(child)
            elif isinstance(event, ChildIgnored):
                self._settle_ignored(child)
            else:
                reason = _reason_of(event)
                self._report(StartError, child, reason)
                self._close(child, reason)
                # Reverse start order: the failed child's predecessors, last first.
                for other in reversed(started):
                    yield from self._stop(other)
                    self._close(other, other.reason)
                self._cell.fail_start(
                    ExitReason(ExitKind.START_FAILED, f"child {child.spec.id!r}: {reason.detail}", reason.error)
                )
                return
        self._phase = "running"
        self._cell.acknowledge_start()

    def _judge_early_ends(self) -> None:
        """Decides about children that ended after their own start and before the supervisor's."""
        if self._phase != "running":
            return
        ended, self._ended_while_starting = self._ended_while_starting, []
        for child in ended:
            self._child_ended(child)

    def _start(self, child: Child) -> StartSteps:
        """Starts one child and waits for how that went."""
        child.group_job = None
        self._launch(child)
        while True:
            event = yield (child,)
            if not isinstance(event, Wake):
                return event

    def _launch(self, child: Child) -> None:
        if child.cell is None:
            child.cell = self.system.make_cell(child.spec, self._cell)
        child.state = "starting"
        child.cell.begin_start()

    # --- dynamic children ---------------------------------------------------------------------------------------

    def adopt(self, spec: ChildSpec, acknowledgement: Future[Any] | None = None, *, constructed: bool = False) -> Cell:
        """Adds a child and begins its start; returns its cell at once. Raises ChildError."""
        if self._phase == "stopping":
            raise ChildError(f"{self.path} is stopping and takes no new child {spec.id!r}")
        if spec.id in self._children:
            raise ChildError(f"{self.path} already has a child {spec.id!r} ({self._children[spec.id].state})")
        if spec.significant and self._spec.auto_shutdown == "never":
            raise ChildError(f"{self.path}: child {spec.id!r} is significant, but auto_shutdown is 'never'")
        child = Child(spec)
        cell = self.system.make_cell(spec, self._cell)
        child.cell = cell
        if constructed:
            try:
                cell.construct()
            except BaseException:
                cell.close(ExitReason(ExitKind.START_FAILED, "its initialiser failed"))
                raise
        self._children[spec.id] = child
        if acknowledgement is not None:
            child.acknowledgements = [acknowledgement]
        child.state = "starting"
        cell.begin_start()
        return cell

    def template_spec(self, child_id: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ChildSpec:
        """Makes the specification of one child of a dynamic set; raises ChildError for other strategies."""
        if not self._dynamic:
            raise ChildError(f"{self.path} is {self._spec.strategy} and has no template")
        template = self._spec.children[0]
        arguments = (*template.args, *args) if template.args else args
        if not kwargs:
            return msgspec.structs.replace(template, id=child_id, args=arguments)
        return msgspec.structs.replace(template, id=child_id, args=arguments, kwargs={**template.kwargs, **kwargs})

    # --- what happens to children -------------------------------------------------------------------------------

    @handles(ChildStarted, ChildIgnored, ChildStartFailed, ChildEnded)
    def _on_child_event(self, event: ChildStarted | ChildIgnored | ChildStartFailed | ChildEnded) -> None:
        child = self._children.get(event.cell.spec.id)
        if child is None or child.cell is not event.cell:
            return  # about a child that is forgotten
        if isinstance(event, ChildStarted):
            if child.state == "starting":
                child.state = "running"
            self._report_progress(child)
            child.acknowledge(event.cell.ref)
        else:
            child.state = "ended"
            child.reason = event.reason if not isinstance(event, ChildIgnored) else NORMAL
        if child.job is not None:
            self._advance(child.job, event)
        elif isinstance(event, ChildIgnored):
            self._settle_ignored(child)
            child.acknowledge(None)
        elif isinstance(event, ChildStartFailed):
            self._dynamic_start_failed(child, event.reason)
        elif isinstance(event, ChildEnded):
            child.acknowledge(None, StartFailed(f"{event.cell.path} ended while it was starting: {event.reason}"))
            self._child_ended(child)

    def notes_start(self, cell: Cell) -> bool:
        """Takes note of a start on the spot, where nothing hangs on it; False where it must come as a message."""
        child = self._children.get(cell.spec.id)
        if (
            child is None
            or child.cell is not cell
            or child.job is not None
            or child.acknowledgements
            or self.system.events.wants_progress
        ):
            return False
        if child.state == "starting":
            child.state = "running"
        return True

    def notes_end(self, cell: Cell, reason: ExitReason) -> bool:
        """Forgets a child that ended well and is not to come back, on the spot; False where there is more to it."""
        child = self._children.get(cell.spec.id)
        if (
            child is None
            or child.cell is not cell
            or child.job is not None
            or child.group_job is not None
            or child.acknowledgements
            or self._phase != "running"
            or child.spec.significant
            or not reason.is_clean
            or child.spec.restart == "permanent"
            or not (self._dynamic or child.spec.restart == "temporary")
        ):
            return False
        self._forget(child, reason)
        return True

    def _dynamic_start_failed(self, child: Child, reason: ExitReason) -> None:
        self._report(StartError, child, reason)
        self._forget(child, reason)
        error = StartFailed(f"{self.path}/{child.spec.id}: {reason.detail}")
        error.__cause__ = reason.error
        child.acknowledge(None, error)

    def _child_ended(self, child: Child) -> None:
        """Applies the restart table to a child that ended by itself."""
        reason = child.reason
        if child.group_job is not None:
            return  # its group is being stopped: this end was on the way anyhow
        if self._phase == "starting":
            self._ended_while_starting.append(child)
            return
        if self._phase == "stopping":
            return
        wants = wants_restart(child.spec.restart, reason)
        if wants or not reason.is_clean:
            self._report(ChildTerminated, child, reason)
        if wants:
            self._restart(child, reason)
            return
        significant = child.spec.significant
        if child.spec.restart == "temporary" or self._dynamic:
            self._forget(child, reason)
        else:
            self._close(child, reason)
        if significant:
            left = sum(
                1
                for other in self._children.values()
                if other.spec.significant and other.state not in {"idle", "ended"}
            )
            if ends_supervisor(self._spec.auto_shutdown, significant_left=left):
                self._shut_down(ExitReason(ExitKind.SHUTDOWN, f"significant child {child.spec.id!r} has ended"))

    # --- restart ------------------------------------------------------------------------------------------------

    def _restart(self, child: Child, reason: ExitReason) -> None:
        if not self._window.admits(self.system.now()):
            self._give_up(child, reason)
            return
        if child.cell is not None:
            child.cell.restarts += 1
        group = restart_group(self._spec.strategy, tuple(self._children.values()), child)
        if self._group_job is not None:
            # The new group holds all that the previous restart has not finished, so that one may be dropped.
            self._abandon_job(self._group_job)
        job = Job(self._restart_steps(child, group), group)
        if self._spec.strategy in {"one_for_all", "rest_for_one"}:
            self._group_job = job
        self._begin(job)

    def _restart_steps(self, failed: Child, group: list[Child]) -> Steps:
        job = self._current_job
        for child in group:
            child.group_job = job
        for child in reversed(group):
            yield from self._stop(child)
            if child is not failed and child.spec.restart == "temporary":
                self._forget(child, child.reason)
        # The delay belongs to the child that failed; its siblings come back with it.
        cell = failed.cell
        delay = 0.0
        if cell is not None:
            delay = backoff_seconds(failed.spec.backoff, cell.failures, self.random.random())
            cell.failures += 1
        failed.state = "restarting"
        if delay > 0:
            self._wake_after(job, delay)
            while not isinstance((yield (failed,)), Wake):
                pass
        for child in group:
            if self._children.get(child.spec.id) is not child:
                continue  # a temporary sibling, which a group restart does not bring back
            event = yield from self._start(child)
            if isinstance(event, ChildStarted):
                continue
            if isinstance(event, ChildIgnored):
                self._settle_ignored(child)
                continue
            reason = _reason_of(event)
            self._report(StartError, child, reason)
            child.state = "restarting"
            child.reason = reason
            for rest in group:
                rest.group_job = None
            self._cell.supervise(RetryRestart(child))
            return

    @handles(RetryRestart)
    def _on_retry_restart(self, message: RetryRestart) -> None:
        child = message.child
        if self._children.get(child.spec.id) is not child:
            return
        if self._phase == "running" and child.state == "restarting" and child.job is None:
            self._restart(child, child.reason)

    def _give_up(self, child: Child, reason: ExitReason) -> None:
        spec = self._spec
        self.system.events.publish(
            SupervisorGaveUp(
                supervisor=self.path,
                child_id=child.spec.id,
                intensity=spec.intensity,
                period_seconds=spec.period_seconds,
                reason=reason,
            )
        )
        detail = (
            f"child {child.spec.id!r} needed more than {spec.intensity} restarts"
            f" within {spec.period_seconds} s: {reason}"
        )
        self._shut_down(ExitReason(ExitKind.SHUTDOWN, detail, reason.error))

    # --- stop ---------------------------------------------------------------------------------------------------

    def prepare_stop(self, reason: ExitReason) -> bool:
        """Puts the stop off until the children have ended, in reverse start order."""
        if self._phase != "stopping":
            self._begin_stopping(reason)
        return False

    def let_go(self) -> None:
        """Drops every job with its timer, however this incarnation ended."""
        for job in tuple(self._jobs):
            if job is not self._current_job:  # a running job finishes by itself
                self._abandon_job(job)

    def _shut_down(self, reason: ExitReason) -> None:
        """Stops the children and then ends with ``reason``, on this supervisor's own decision."""
        if self._phase != "stopping":
            self._begin_stopping(reason)

    def _begin_stopping(self, reason: ExitReason) -> None:
        self._phase = "stopping"
        for job in tuple(self._jobs):
            self._abandon_job(job)
        children = tuple(self._children.values())
        steps = self._stop_together(children, reason) if self._dynamic else self._stop_in_order(children, reason)
        self._begin(Job(steps, children))

    def _stop_in_order(self, children: tuple[Child, ...], reason: ExitReason) -> Steps:
        for child in reversed(children):
            yield from self._stop(child)
            self._close(child, child.reason)
        self._cell.finish_stop(reason)

    def _stop_together(self, children: tuple[Child, ...], reason: ExitReason) -> Steps:
        """Stops a dynamic set in parallel, with one timer for all."""
        job = self._current_job
        asked = tuple(child for child in children if child.state in {"starting", "running", "stopping"})
        left = len(asked)
        seconds = self._spec.children[0].shutdown_seconds
        for child in asked:
            self._ask_to_stop(child, seconds)
        if left and 0 < seconds < UNLIMITED:
            self._wake_after(job, seconds)
        while left:
            event = yield asked
            if isinstance(event, Wake):
                for child in asked:
                    if child.state == "stopping":
                        self._report(ShutdownError, child, KILLED)
                        _cell_of(child).control_kill()
            elif not isinstance(event, ChildStarted):
                left -= 1
        for child in children:
            self._close(child, child.reason)
        self._cell.finish_stop(reason)

    def _stop(self, child: Child) -> Steps:
        """Stops one child and waits for its end: asks, then after its timeout kills."""
        if child.state not in {"starting", "running", "stopping"}:
            return
        job = self._current_job
        seconds = child.spec.shutdown_seconds
        self._ask_to_stop(child, seconds)
        if 0 < seconds < UNLIMITED:
            self._wake_after(job, seconds)
        late = False
        while True:
            event = yield (child,)
            if isinstance(event, Wake):
                late = True
                _cell_of(child).control_kill()
            elif not isinstance(event, ChildStarted):
                break
        if job.timer is not None:
            job.timer.cancel()
        expected = {ExitKind.KILLED} if seconds == 0 else {ExitKind.SHUTDOWN, ExitKind.NORMAL, ExitKind.START_FAILED}
        if late or child.reason.kind not in expected:
            self._report(ShutdownError, child, child.reason)

    @staticmethod
    def _ask_to_stop(child: Child, seconds: float) -> None:
        cell = _cell_of(child)
        child.state = "stopping"
        if seconds == 0:
            cell.control_kill()
        else:
            cell.control_stop(SHUTDOWN)

    # --- jobs ---------------------------------------------------------------------------------------------------

    def _begin(self, job: Job) -> None:
        self._jobs[job] = None
        self._advance(job, None)

    def _advance(self, job: Job, event: ChildEvent | None) -> None:
        if job.closed:
            return
        outer, self._current_job = self._current_job, job
        try:
            waiting_for = next(job.steps) if event is None else job.steps.send(event)
        except StopIteration:
            self._finish_job(job)
            if job.then is not None:
                job.then()
            return
        finally:
            self._current_job = outer
        if waiting_for is not job.waiting_for:  # a large set that waits on is not walked again
            for child in job.waiting_for:
                child.job = None
            job.waiting_for = waiting_for
            for child in waiting_for:
                child.job = job

    def _abandon_job(self, job: Job) -> None:
        job.steps.close()
        self._finish_job(job)

    def _finish_job(self, job: Job) -> None:
        job.closed = True
        self._jobs.pop(job, None)
        if job is self._group_job:
            self._group_job = None
        if job.timer is not None:
            job.timer.cancel()
        for child in job.waiting_for:
            child.job = None
        for action in job.afterwards:
            # As messages, because the next job may already have the same children in hand.
            self._cell.supervise(Afterwards(action))
        for child in job.group:
            if child.group_job is job:
                child.group_job = None

    def _wake_after(self, job: Job, seconds: float) -> None:
        cell = self._cell

        def wake(_timer: Timer) -> None:
            cell.supervise(Wake(job))

        if job.timer is not None:
            job.timer.cancel()
        job.timer = self.system.timers.arm(self.system.now() + seconds, wake)

    @handles(Wake)
    def _on_wake(self, message: Wake) -> None:
        if message.job in self._jobs:  # and not a job of an earlier incarnation
            self._advance(message.job, message)

    # --- the operator's table -----------------------------------------------------------------------------------

    @handles(StartChild)
    def _on_start_child(self, message: StartChild) -> None:
        self.adopt(message.spec)
        reply = self.defer_reply_or_none()
        if reply is not None:
            self._children[message.spec.id].acknowledgements = [reply]

    @handles(TerminateChild)
    def _on_terminate_child(self, message: TerminateChild) -> None:
        self._known(message.child_id)
        self._terminate(message.child_id, self.defer_reply_or_none())

    def _terminate(self, child_id: str, reply: Future[Any] | None) -> None:
        """Stops a child, after the job that has it in hand; a child that waits out its backoff is given up."""
        child = self._children.get(child_id)
        if child is None or self._phase == "stopping":
            if reply is not None:
                reply.settle(None, ChildError(f"{self.path} has no child {child_id!r} any more"))
            return
        job = child.job if child.job is not None else child.group_job
        if job is not None and not (child.state == "restarting" and job.group == (child,)):
            job.afterwards.append(lambda: self._terminate(child_id, reply))
            return
        if job is not None:
            self._abandon_job(job)
        self._begin(Job(self._terminate_steps(child, reply), (child,)))

    @handles(Afterwards)
    def _on_afterwards(self, message: Afterwards) -> None:
        message.action()

    def _terminate_steps(self, child: Child, reply: Future[Any] | None) -> Steps:
        yield from self._stop(child)
        if child.spec.restart == "temporary" or self._dynamic:
            self._forget(child, SHUTDOWN)
        else:
            self._close(child, SHUTDOWN)
        child.acknowledge(None, StartFailed(f"{self.path}/{child.spec.id} was terminated"))
        if reply is not None:
            reply.settle(None)

    @handles(RestartChild)
    def _on_restart_child(self, message: RestartChild) -> None:
        child = self._idle(message.child_id, "not ended")
        reply = self.defer_reply_or_none()
        if reply is not None:
            child.acknowledgements = [reply]
        self._launch(child)

    @handles(DeleteChild)
    def _on_delete_child(self, message: DeleteChild) -> None:
        self._idle(message.child_id, "so terminate it first")
        del self._children[message.child_id]

    @handles(CountChildren)
    def _on_count_children(self, _message: CountChildren) -> ChildCounts:
        children = self._children.values()
        supervisors = sum(1 for child in children if child.spec.is_supervisor)
        return ChildCounts(
            specs=1 if self._dynamic else len(children),
            active=sum(1 for child in children if child.state in {"starting", "running", "stopping"}),
            supervisors=supervisors,
            workers=len(children) - supervisors,
        )

    @handles(WhichChildren)
    def _on_which_children(self, _message: WhichChildren) -> tuple[ChildInfo, ...]:
        return tuple(
            ChildInfo(
                id=child.spec.id,
                state=child.state,
                incarnation=child.cell.incarnation if child.cell is not None else 0,
                restarts=child.cell.restarts if child.cell is not None else 0,
                path=child.cell.path if child.cell is not None else "",
            )
            for child in self._children.values()
        )

    def defer_reply_or_none(self) -> Future[Any] | None:
        """Takes over the answer of the current ask; None where the message was told."""
        current = self._current()
        return self.defer_reply() if current is not None and current.reply_to is not None else None

    def child_ref(self, child_id: str) -> ActorRef | None:
        """The ref of a child, None where none runs under that id."""
        child = self._children.get(child_id)
        return child.cell.ref if child is not None and child.cell is not None else None

    def _known(self, child_id: str) -> Child:
        child = self._children.get(child_id)
        if child is None:
            raise ChildError(f"{self.path} has no child {child_id!r}")
        return child

    def _idle(self, child_id: str, advice: str) -> Child:
        child = self._known(child_id)
        if self._phase == "stopping":
            raise ChildError(f"{self.path} is stopping")
        if child.state != "idle" or child.group_job is not None:
            state = child.state if child.group_job is None else "restarting with its group"
            raise ChildError(f"{self.path}: child {child_id!r} is {state}, {advice}")
        return child

    # --- small things -------------------------------------------------------------------------------------------

    def _settle_ignored(self, child: Child) -> None:
        """A child that is not needed keeps its specification, unless it is temporary."""
        if child.spec.restart == "temporary" or self._dynamic:
            self._forget(child, NORMAL)
        else:
            self._close(child, NORMAL)

    def _close(self, child: Child, reason: ExitReason) -> None:
        cell, child.cell = child.cell, None
        child.state = "idle"
        child.group_job = None
        if cell is not None:
            cell.close(reason)

    def _forget(self, child: Child, reason: ExitReason) -> None:
        self._children.pop(child.spec.id, None)
        self._close(child, reason)

    def _report(
        self, kind: Callable[..., ChildTerminated | StartError | ShutdownError], child: Child, reason: ExitReason
    ) -> None:
        cell = child.cell
        self.system.events.publish(
            kind(
                supervisor=self.path,
                child_id=child.spec.id,
                path=cell.path if cell is not None else "",
                incarnation=cell.incarnation if cell is not None else 0,
                restart=child.spec.restart,
                arguments=child.spec.describe_arguments(),
                reason=reason,
            )
        )

    def _report_progress(self, child: Child) -> None:
        cell = child.cell
        if cell is None or not self.system.events.wants_progress:
            return
        self.system.events.publish(
            Progress(
                supervisor=self.path,
                child_id=child.spec.id,
                path=cell.path,
                incarnation=cell.incarnation,
                restart=child.spec.restart,
                arguments=child.spec.describe_arguments(),
            )
        )


def _cell_of(child: Child) -> Cell:
    assert child.cell is not None, f"child {child.spec.id!r} is {child.state} without a cell"
    return child.cell


def _reason_of(event: ChildEvent) -> ExitReason:
    if isinstance(event, ChildStartFailed | ChildEnded):
        return event.reason
    return ExitReason(ExitKind.START_FAILED, f"unexpected {type(event).__name__}")
