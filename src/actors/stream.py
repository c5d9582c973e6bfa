"""The private stream of one account: notifications, never the truth.

What it delivers is handed on at once (executions deduplicate, order states are confirmed by REST), and what it may
have lost is swept: after every connection the account stays out of Live until a sweep has closed the gap.
"""

import trio

from ..model.account import SweepTrigger
from ..model.alert import Alert, AlertKind, Severity
from ..model.fill import FillSource
from ..model.identifiers import AccountId, AlertId
from ..model.report import Alive, ExecutionReport, OrderReport, SettlementReport, Unrecognised
from ..model.timestamps import rfc3339
from ..model.value import Value
from ..store.audit import AuditRecord, Direction
from ..store.port import Lsn
from ..venues.port import CannotExpress
from .context import Context, Paths, TradingActor
from .kernel import handles
from .messages import (
    CredentialsObtained,
    Explain,
    FrameArrived,
    LogExecutions,
    Raise,
    ReportOrder,
    StreamDown,
    StreamUp,
    Sweep,
    Tick,
)
from .websocket import SessionEnded, reconnect_seconds, session

DOWN = "down"


class Subscribed(Value, frozen=True):
    """The venue answered on a new session."""


class Lost(Value, frozen=True):
    """A session ended, or could not be opened."""

    reason: str


class StreamActor(TradingActor):
    """Connects, subscribes, and passes on; a restart of it ends in a sweep like any other gap."""

    def __init__(self, context: Context, account: AccountId) -> None:
        super().__init__(context)
        self.account = account
        self.settings = context.accounts[account]
        self.dialect = context.dialects[account]
        self.down_since_ns: int | None = None
        self.logged_in = trio.Event()
        self.alerted = False

    def on_start(self) -> None:
        self.down_since_ns = self.now_ns()
        self._desk_tell(StreamDown(since_ns=self.down_since_ns, reason="not connected yet"))
        self.start_task(self._run, name="private stream")

    @handles(CredentialsObtained)
    def _credentials_obtained(self, _message: CredentialsObtained) -> None:
        self.logged_in.set()

    def _desk_tell(self, message: StreamUp | StreamDown) -> None:
        self.context.tell(Paths.account(self.account, "desk"), message)

    async def _run(self) -> None:
        attempt = 0
        while True:
            try:
                service, frames = self.dialect.private_stream()
            except CannotExpress:
                # The gateway has not logged in yet; it goes on trying with a backoff of its own, and tells.
                await self.logged_in.wait()
                self.logged_in = trio.Event()
                continue
            journal = self.context.recorder.journal
            for frame in frames:
                await journal.wait_durable(self._audit(Direction.SENT, frame.redacted.encode()))
            up = False

            def subscribed() -> None:
                nonlocal up
                up = True
                self.actor_ref.tell(Subscribed())

            def arrived(frame: str | bytes) -> None:
                self.actor_ref.tell(FrameArrived(frame=frame, received_at_ns=self.now_ns()))

            try:
                await session(
                    self.context.connect,
                    self.settings.service(service),
                    frames,
                    self.dialect.stream_ping(),
                    self.settings.stream,
                    on_subscribed=subscribed,
                    on_frame=arrived,
                )
            except SessionEnded as ended:
                self.actor_ref.tell(Lost(reason=str(ended)))
            attempt = 0 if up else attempt + 1
            await trio.sleep(reconnect_seconds(self.settings.stream, attempt, self.system.random))

    def _audit(self, direction: Direction, content: bytes) -> Lsn:
        return self.record(
            AuditRecord(
                direction=direction,
                account=self.account,
                channel="stream",
                at_ns=self.now_ns(),
                summary="private stream",
                body_bytes_redacted=self.dialect.redact(content),
                cause=self.cause,
            )
        )

    # ---- up and down --------------------------------------------------------------------------------------

    @handles(Subscribed)
    def _subscribed(self, _message: Subscribed) -> None:
        self._desk_tell(StreamUp(down_since_ns=self.down_since_ns))
        self.down_since_ns = None
        self.cancel_timer(DOWN)
        self.mark_healthy()
        if self.alerted:
            self.alerted = False
            self.context.ref(Paths.ALERTS).tell(Explain(alert_id=self._alert_id, by="the stream is connected again"))

    @handles(Lost)
    def _lost(self, message: Lost) -> None:
        if self.down_since_ns is not None:
            return  # it was down already; another attempt failed
        self.down_since_ns = self.now_ns()
        self._desk_tell(StreamDown(since_ns=self.down_since_ns, reason=message.reason))
        self.after(self.settings.stream.down_alert_seconds, Tick(name=DOWN), key=DOWN)

    @handles(Tick)
    def _tick(self, _message: Tick) -> None:
        if self.down_since_ns is None:
            return
        self.alerted = True
        waited = (self.now_ns() - self.down_since_ns) // 1_000_000_000
        self.context.ref(Paths.ALERTS).tell(
            Raise(
                alert=Alert(
                    alert_id=self._alert_id,
                    kind=AlertKind.CONNECTION_DOWN,
                    severity=Severity.CRITICAL,
                    message=(
                        f"{self.account}: the private stream has been down for {waited} s; new orders wait, "
                        "cancels and sweeps go on"
                    ),
                    diagnosis="",
                    evidence=(("down since", rfc3339(self.down_since_ns)),),
                    opened_at_ns=self.now_ns(),
                    account=self.account,
                )
            )
        )

    @property
    def _alert_id(self) -> AlertId:
        return AlertId(f"connection_down:{self.account}:stream")

    # ---- frames -------------------------------------------------------------------------------------------

    @handles(FrameArrived)
    def _frame(self, message: FrameArrived) -> None:
        frame = message.frame
        reports = self.dialect.read_private_frame(frame, message.received_at_ns)
        if all(isinstance(report, Alive) for report in reports):
            return  # heartbeats say nothing of the account; they are counted as life by the session
        self._audit(Direction.RECEIVED, frame.encode() if isinstance(frame, str) else frame)
        executions: list[ExecutionReport | SettlementReport] = []
        for report in reports:
            match report:
                case ExecutionReport() | SettlementReport():
                    executions.append(report)
                case OrderReport():
                    told = ReportOrder(report=report, source=FillSource.STREAM, rest=False)
                    self.context.tell(Paths.account(self.account, "desk"), told)
                case Unrecognised():
                    self._unreadable(report)
                case Alive():
                    pass
        if executions:
            self.context.tell(
                Paths.account(self.account, "fills"),
                LogExecutions(
                    reports=tuple(executions), source=FillSource.STREAM, received_at_ns=message.received_at_ns
                ),
            )

    def _unreadable(self, report: Unrecognised) -> None:
        """It may hide a fill: a person is told, and a sweep looks."""
        if not report.about_account:
            return
        self.context.ref(Paths.ALERTS).tell(
            Raise(
                alert=Alert(
                    alert_id=AlertId(f"unreadable_report:{self.account}:{report.why}"),
                    kind=AlertKind.UNREADABLE_REPORT,
                    severity=Severity.WARNING,
                    message=(
                        f"{self.account}: a private frame could not be read ({report.why}); it is in the audit chain, "
                        "and a sweep asks the venue for what it may have said"
                    ),
                    diagnosis="",
                    evidence=(("excerpt", report.excerpt),),
                    opened_at_ns=self.now_ns(),
                    account=self.account,
                )
            )
        )
        sweep = Sweep(trigger=SweepTrigger.UNREADABLE_FRAME, detail=report.why)
        self.context.tell(Paths.connection(self.account, "reconciler"), sweep)
