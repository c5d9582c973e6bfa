"""What went wrong among the actors lately: kept for those who look at the tree, and alerted.

A message that crashed its receiver is in here with its traceback (it is not handled again), and so is whatever hung.
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from ..actors.kernel import (
    ActorSystem,
    ChildTerminated,
    CrashReport,
    LoopHung,
    StartError,
    SupervisorGaveUp,
    TaskHung,
    TasksAbandoned,
)
from ..model.alert import AlertKind, Severity
from .protocol import Incident

KEPT = 100
DETAIL_CHARACTERS_MAXIMUM = 8_000
EVIDENCE_CHARACTERS_MAXIMUM = 2_000


class RaiseAlert(Protocol):
    """Opens an alert, or says it in the log where nobody takes alerts any more."""

    def __call__(
        self,
        kind: AlertKind,
        alert_id: str,
        text: str,
        severity: Severity = ...,
        evidence: tuple[tuple[str, str], ...] = ...,
    ) -> None: ...


class Incidents:
    """Listens to one system's reports for as long as it lives."""

    def __init__(self, system: ActorSystem, now_ns: Callable[[], int], alert: RaiseAlert) -> None:
        self._system = system
        self._now_ns = now_ns
        self._alert = alert
        self._kept: deque[Incident] = deque(maxlen=KEPT)
        self._crashes: dict[str, Incident] = {}
        system.events.subscribe(
            self._hear,
            CrashReport,
            ChildTerminated,
            StartError,
            SupervisorGaveUp,
            TaskHung,
            TasksAbandoned,
            LoopHung,
        )

    def recent(self) -> tuple[Incident, ...]:
        """The newest first."""
        return tuple(reversed(self._kept))

    def crash_of(self, path: str) -> Incident | None:
        """The last crash of an actor that is still kept."""
        return self._crashes.get(path)

    def _keep(
        self, kind: str, path: str, text: str, *, incarnation: int = 0, message_type: str = "", detail: str = ""
    ) -> Incident:
        incident = Incident(
            kind=kind,
            at_ns=self._now_ns(),
            path=path,
            incarnation=incarnation,
            message_type=message_type,
            text=text,
            detail=_shortened(detail, DETAIL_CHARACTERS_MAXIMUM),
        )
        self._kept.append(incident)
        return incident

    def _hear(self, report: object) -> None:
        match report:
            case CrashReport():
                self._crashed(report)
            case ChildTerminated():
                self._terminated(report)
            case StartError():
                text = f"{report.path} could not start: {report.reason}"
                self._keep("start_failed", report.path, text, incarnation=report.incarnation)
                self._alert(AlertKind.ACTOR_CRASHED, f"start_failed:{report.path}:{self._now_ns()}", text)
            case SupervisorGaveUp():
                text = (
                    f"{report.supervisor} gave up: {report.child_id} needed more than {report.intensity} restarts in "
                    f"{report.period_seconds:g} s ({report.reason}); what is above it decides"
                )
                self._keep("gave_up", report.supervisor, text)
                self._alert(AlertKind.ACTOR_CRASHED, f"gave_up:{report.supervisor}:{self._now_ns()}", text)
            case TaskHung():
                text = f"task {report.task!r} of {report.path} runs for more than {report.seconds:g} s"
                where = ("where", report.where)
                self._keep("task_hung", report.path, text, incarnation=report.incarnation, detail=report.where)
                self._alert(
                    AlertKind.TASK_HUNG, f"task_hung:{report.path}:{self._now_ns()}", text, Severity.WARNING, (where,)
                )
            case TasksAbandoned():
                stacks = "\n".join(report.tasks)
                text = f"{report.path} has ended, but tasks of it do not: they swallow their cancellation"
                self._keep("tasks_abandoned", report.path, text, incarnation=report.incarnation, detail=stacks)
                self._alert(
                    AlertKind.TASK_HUNG,
                    f"tasks_abandoned:{report.path}:{self._now_ns()}",
                    text,
                    evidence=(("where", _shortened(stacks, EVIDENCE_CHARACTERS_MAXIMUM)),),
                )
            case LoopHung():
                self._hung(report)

    def _crashed(self, report: CrashReport) -> None:
        on = report.message_type or "no message of anybody"
        text = f"{report.path} crashed on {on}: {report.reason.detail}; that message is not handled again"
        self._crashes[report.path] = self._keep(
            "crashed",
            report.path,
            text,
            incarnation=report.incarnation,
            message_type=report.message_type,
            detail=report.traceback,
        )
        while len(self._crashes) > KEPT:
            del self._crashes[next(iter(self._crashes))]

    def _terminated(self, report: ChildTerminated) -> None:
        if report.reason.is_clean:
            return
        place = report.path or f"{report.supervisor}/{report.child_id}"
        crash = self._crashes.get(place)
        evidence: tuple[tuple[str, str], ...] = ()
        if crash is not None and crash.incarnation == report.incarnation:
            evidence = (
                ("message", crash.message_type or "none"),
                ("incarnation", str(crash.incarnation)),
                ("traceback", _shortened(crash.detail, EVIDENCE_CHARACTERS_MAXIMUM)),
            )
        text = f"{place} crashed ({report.reason}); it is restarted from the store"
        self._alert(
            AlertKind.ACTOR_CRASHED, f"actor_crashed:{report.child_id}:{self._now_ns()}", text, evidence=evidence
        )

    def _hung(self, report: LoopHung) -> None:
        text = f"the loop hung in {report.where} for {report.seconds:.1f} s: nothing else could run meanwhile"
        self._keep(
            "loop_hung",
            report.path,
            text,
            incarnation=report.incarnation,
            message_type=report.message_type,
            detail=report.stack,
        )
        self._alert(
            AlertKind.LOOP_HUNG,
            f"loop_hung:{self._now_ns()}",
            text,
            evidence=(("stack", _shortened(report.stack, EVIDENCE_CHARACTERS_MAXIMUM)),),
        )


def _shortened(text: str, maximum: int) -> str:
    """The end of a text: of a traceback that is where it happened."""
    return text if len(text) <= maximum else f"… {len(text) - maximum} characters before …\n{text[-maximum:]}"
