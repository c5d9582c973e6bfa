"""The door to one venue account: authentication, quota, audit, and the barrier of durability.

Whatever leaves for the private side passes here, and nothing of it leaves before the journal holds its cause and its
audit record (laws L1, L10). The gateway never repeats a request that may have acted: that is the order's decision.
When the store has failed, cancels still go out, and what they said goes to the log instead of the audit chain;
everything else that is private is refused, questions and heartbeats too: without those the venue's dead-man switch
cancels what our cancels do not reach.
"""

from collections import deque
from functools import lru_cache, partial

import httpx
import msgspec
import trio

from ..model.account import AccountState
from ..model.alert import Alert, AlertKind, Severity
from ..model.event import InstrumentLearned
from ..model.identifiers import AccountId, AlertId, ClientOrderId
from ..model.order import Sent
from ..model.report import Unreadable
from ..store.audit import ANSWERED, AuditRecord, Direction
from ..store.errors import StoreFailed
from ..store.port import Lsn
from ..venues.port import Answer, Reply, Request, TransportFailure
from .connect import SeamTransport
from .context import Context, Paths, TradingActor, log
from .kernel import handles
from .messages import (
    CredentialsObtained,
    Exchange,
    Exchanged,
    Explain,
    GatewayDown,
    GatewayReady,
    InstrumentsLearned,
    Raise,
    RequestDue,
    StoreLost,
    Tick,
)
from .quota import Quota

HEARTBEAT, RECHECK = "heartbeat", "recheck"
CLOCK_CHECK_SECONDS = 600
USER_AGENT = ("user-agent", "tallystick")
CONTENT_TYPE = ("content-type", "application/json")
CLOSE_SECONDS = 1.0
ADDRESSES_KEPT = 256


class Durable(msgspec.Struct, frozen=True):
    """The request's cause and audit record are durable: it may leave."""

    number: int


class LoggedIn(msgspec.Struct, frozen=True):
    """The clock was checked, credentials are there, and the rules of the instruments are known."""


class Performed(msgspec.Struct, frozen=True):
    """The exchange ended, with an answer or without."""

    number: int
    reply: Reply


class ClockOff(Exception):
    """This machine's clock differs from the venue's by more than is allowed; the message has both."""


class GatewayActor(TradingActor):
    """One account's requests."""

    def __init__(self, context: Context, account: AccountId) -> None:
        super().__init__(context)
        self.account = account
        self.settings = context.accounts[account]
        self.dialect = context.dialects[account]
        self.quota = Quota(self.dialect.rate_limits, reserved_share=self.settings.gateway.reserved_share)
        self.lanes: dict[str, deque[Exchange]] = {}
        self.ready = False
        self.under_way: dict[int, Exchange] = {}
        self.waiting: set[int] = set()
        """Those of them that wait for the journal."""
        self.numbers = 0
        self.heartbeat_token = ""
        self.down_since_ns: int | None = None

    def on_start(self) -> None:
        self.context.tell(Paths.account(self.account, "desk"), GatewayDown())
        self.transport = SeamTransport(
            self.context.connect, connections_maximum=self.settings.gateway.concurrency_maximum
        )
        self.start_task(self._hold_connections, name="connections")
        self.start_task(self._become_ready, name="become ready")

    async def _hold_connections(self) -> None:
        """Close the kept connections when this actor ends, however it ends."""
        try:
            await trio.sleep_forever()
        finally:
            with trio.move_on_after(CLOSE_SECONDS, shield=True):
                await self.transport.aclose()

    # ---- becoming ready -----------------------------------------------------------------------------------

    async def _become_ready(self) -> None:
        """Check the clock, obtain credentials; retried with backoff for as long as the venue is out of reach."""
        wait_seconds = self.settings.stream.backoff_seconds_minimum
        while True:
            problem = await self._check_clock() or await self._log_in() or await self._learn_instruments()
            if problem is None:
                break
            self.trace_note("not ready", problem.why)
            log.warning("the venue is not ready for us; it is tried again", account=self.account, why=problem.why)
            await trio.sleep(wait_seconds)
            wait_seconds = min(self.settings.stream.backoff_seconds_maximum, wait_seconds * 2)
        self.actor_ref.tell(LoggedIn())

    @handles(LoggedIn)
    def _logged_in(self, _message: LoggedIn) -> None:
        """From here on requests may leave; those that came earlier have waited."""
        self.ready = True
        self.context.tell(Paths.account(self.account, "feed"), InstrumentsLearned())
        self.context.tell(Paths.account(self.account, "desk"), GatewayReady())
        if self.settings.gateway.heartbeat_seconds is not None:
            self._heartbeat()
        self.after(CLOCK_CHECK_SECONDS, Tick(name=RECHECK), key=RECHECK)
        for quota in self.lanes:
            self._send_due(quota)

    async def _check_clock(self) -> Unreadable | None:
        before = self.now_ns()
        answer = self.dialect.read_server_time(await self._perform_request(self.dialect.server_time()))
        if isinstance(answer, Unreadable):
            return answer
        after = self.now_ns()
        # The venue's clock may show whole seconds, and was read somewhere between the two stamps.
        off_ns = max(before - answer - 1_000_000_000, answer - after - 1_000_000_000, 0)
        allowed = self.settings.gateway.clock_skew_seconds_maximum
        if off_ns > allowed * 1e9:
            text = (
                f"this machine's clock is {off_ns / 1e9:.1f} s away from the clock of {self.dialect.venue} "
                f"(ours {after}, theirs {answer}); at most {allowed} s is allowed: correct the clock"
            )
            self.context.on_fatal(ClockOff(text))
        return None

    async def _log_in(self) -> Unreadable | None:
        first = self.dialect.log_in(self.now_ns())
        if first is None:
            return None
        problem = await self._log_in_with(first)
        if problem is None:
            return None
        # A refusal may have taught the dialect another way in (the key exists already: ask for that one). It is tried
        # at once, once: the orders of a restarted runtime wait for it.
        other = self.dialect.log_in(self.now_ns())
        if other is None or (other.method, other.path) == (first.method, first.path):
            return problem
        return await self._log_in_with(other)

    async def _log_in_with(self, request: Request) -> Unreadable | None:
        journal = self.context.recorder.journal
        await journal.wait_durable(self._audit_sent(request, journal.last_lsn, 0))
        reply = await self._perform_request(request)
        # Read first: only then the dialect knows which texts of the answer are secret.
        problem = self.dialect.read_log_in(reply)
        if problem is None:
            self.context.tell(Paths.connection(self.account, "stream"), CredentialsObtained())
        self._audit_received(request, reply, journal.last_lsn, 0)
        return problem

    async def _learn_instruments(self) -> Unreadable | None:
        """Read the rules of the configured markets; what is new or changed is an event."""
        cursor: str | None = None
        while True:
            request = self.dialect.list_instruments(self.settings.markets, cursor)
            page = self.dialect.read_instruments(await self._perform_request(request))
            if isinstance(page, Unreadable):
                return page
            for refused in page.refused:
                log.warning("a market of the catalogue could not be read", why=refused.why, excerpt=refused.excerpt)
            changed = [found for found in page.instruments if self.ledger.instruments.get(found.instrument_id) != found]
            if changed:
                self.record(*(InstrumentLearned(instrument=found) for found in changed))
            self.dialect.learn(page.instruments)
            cursor = page.next_cursor
            if cursor is None:
                return None

    # ---- taking requests ----------------------------------------------------------------------------------

    @handles(Exchange)
    def _exchange(self, message: Exchange) -> None:
        """Each kind of request waits for its own quota, in order: a full one must not hold up the others."""
        lane = self.lanes.setdefault(message.request.quota, deque())
        for place, waiting in enumerate(lane):
            if waiting.reply_to is message.reply_to and waiting.tag == message.tag:
                lane[place] = message  # asked again before the first could leave: one is enough
                return
        lane.append(message)
        self._send_due(message.request.quota)

    @handles(RequestDue)
    def _request_due(self, message: RequestDue) -> None:
        self._send_due(message.quota)

    def _send_due(self, quota: str) -> None:
        lane = self.lanes.get(quota)
        while self.ready and lane:
            head = lane[0].request
            # Cancels and recovery may use the reserve.
            wait_seconds = self.quota.take(quota, self.monotonic(), reserve=head.cancels)
            if wait_seconds > 0:
                self.after(wait_seconds, RequestDue(quota=quota), key=f"quota {quota}")
                return
            self._admit(lane.popleft())

    def _admit(self, message: Exchange) -> None:
        self.numbers += 1
        number = self.numbers
        self.under_way[number] = message
        self.waiting.add(number)
        try:
            after = self._audit_sent(message.request, message.after, number)
        except StoreFailed as failure:
            self._without_store(number, message, str(failure))
            return
        self.when_durable(after, partial(self._may_leave, number))

    def _may_leave(self, number: int) -> None:
        # Called by the journal: the gateway may have been stopped meanwhile, and then nothing is to leave any more.
        if self.actor_ref.is_alive():
            self.actor_ref.tell(Durable(number=number))

    @handles(StoreLost)
    def _store_lost(self, message: StoreLost) -> None:
        for number in sorted(self.waiting):
            self._without_store(number, self.under_way[number], message.why)

    def _without_store(self, number: int, message: Exchange, why: str) -> None:
        request = message.request
        if request.cancels and request.private and request.method != "GET" and message.tag != HEARTBEAT:
            log.critical(
                "sent without an audit record, this line is all there is: the store has failed",
                account=self.account,
                request=f"{request.method} {request.path} {request.label}",
                body=self.dialect.redact(request.body).decode(errors="replace"),
            )
            self.actor_ref.tell(Durable(number=number))
            return
        self._not_sent(number, f"the store has failed: {why}")

    def _not_sent(self, number: int, why: str) -> None:
        exchange = self.under_way.pop(number)
        self.waiting.discard(number)
        reply = TransportFailure(why=f"not sent, {why}", sent=False, at_ns=self.now_ns())
        _answer(exchange, reply)

    def _no_longer_wanted(self, order: ClientOrderId | None) -> str:
        """Why an order must not leave any more: it may have waited here for its quota. Empty where it may."""
        if order is None:
            return ""
        state = self.ledger.orders.get(order)
        if not isinstance(state, Sent):
            return "the venue has answered for it meanwhile"
        if state.cancel is not None:
            return "it was cancelled meanwhile"
        account = self.ledger.account(self.account)
        if account.state is not AccountState.LIVE:
            return f"the account is {account.state}: {account.reason}"
        return ""

    def _audit_sent(self, request: Request, after: Lsn, number: int) -> Lsn:
        return self._audit(Direction.SENT, request, request.body, after, _named(request, number))

    def _audit_received(self, request: Request, reply: Reply, after: Lsn, number: int) -> Lsn:
        ended = str(reply.status) if isinstance(reply, Answer) else "no answer"
        return self._audit(
            Direction.RECEIVED, request, _content(reply), after, f"{_named(request, number)}{ANSWERED}{ended}"
        )

    def _audit(self, direction: Direction, request: Request, body: bytes, after: Lsn, summary: str) -> Lsn:
        """Record one side of a private exchange; public ones only wait for what they must not overtake."""
        if not request.private:
            return after
        return self.record(
            AuditRecord(
                direction=direction,
                account=self.account,
                channel="rest",
                at_ns=self.now_ns(),
                summary=summary,
                body_bytes_redacted=self.dialect.redact(body),
                cause=self.cause,
            )
        )

    # ---- performing ---------------------------------------------------------------------------------------

    @handles(Durable)
    def _durable(self, message: Durable) -> None:
        exchange = self.under_way.get(message.number)
        if exchange is None or message.number not in self.waiting:
            return
        self.waiting.discard(message.number)
        why_not = self._no_longer_wanted(exchange.places)
        if why_not:
            self._not_sent(message.number, why_not)
        else:
            self.start_task(self._perform, message.number, exchange.request, name=f"exchange {message.number}")

    async def _perform(self, number: int, request: Request) -> None:
        self.actor_ref.tell(Performed(number=number, reply=await self._perform_request(request)))

    async def _perform_request(self, request: Request) -> Reply:
        reply = await self._once(request)
        if isinstance(reply, TransportFailure) and request.method == "GET":
            # A kept connection that the peer had closed fails on its next use; asking again changes nothing there.
            reply = await self._once(request)
        return reply

    async def _once(self, request: Request) -> Reply:
        headers = self.dialect.authenticate(request, self.now_ns()) if request.authenticated else ()
        # The transport alone: a client's redirects, cookies and defaults are nothing that an order should meet.
        message = httpx.Request(
            request.method,
            _address(self.settings.service(request.service), request.path, request.query),
            headers=[USER_AGENT, CONTENT_TYPE, *headers] if request.body else [USER_AGENT, *headers],
            content=request.body or None,
        )
        try:
            with trio.fail_after(self.settings.gateway.timeout_seconds):
                answer = await self.transport.handle_async_request(message)
        except (
            httpx.ConnectError,
            httpx.ConnectTimeout,
            httpx.PoolTimeout,
            httpx.UnsupportedProtocol,
            httpx.LocalProtocolError,
        ) as error:
            return TransportFailure(why=f"not connected: {error}", sent=False, at_ns=self.now_ns())
        except trio.TooSlowError:
            why = f"no answer within {self.settings.gateway.timeout_seconds} s"
            return TransportFailure(why=why, sent=True, at_ns=self.now_ns())
        except httpx.HTTPError as error:
            return TransportFailure(why=f"{type(error).__name__}: {error}", sent=True, at_ns=self.now_ns())
        return Answer(
            status=answer.status_code,
            headers=tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers.raw),
            body=answer.content,
            received_at_ns=self.now_ns(),
        )

    @handles(Performed)
    def _performed(self, message: Performed) -> None:
        exchange = self.under_way.pop(message.number, None)
        if exchange is None:
            return
        reply = message.reply
        if isinstance(reply, Answer):
            self._reachable()
            if reply.status == 429:
                self.quota.refused(exchange.request.quota, self.monotonic(), _retry_after(reply))
        else:
            self._unreachable(reply)
        try:
            self._audit_received(exchange.request, reply, exchange.after, message.number)
        finally:
            _answer(exchange, reply)

    # ---- staying alive ------------------------------------------------------------------------------------

    @handles(Tick)
    def _tick(self, message: Tick) -> None:
        if message.name == RECHECK:
            self.start_task(self._recheck, name="clock check")
        elif message.name == HEARTBEAT:
            self._heartbeat()

    async def _recheck(self) -> None:
        await self._check_clock()
        self.after(CLOCK_CHECK_SECONDS, Tick(name=RECHECK), key=RECHECK)

    def _heartbeat(self) -> None:
        interval = self.settings.gateway.heartbeat_seconds
        request = self.dialect.heartbeat(self.heartbeat_token)
        journal = self.context.recorder.journal
        if request is None or interval is None or journal.failed is not None:
            return
        message = Exchange(request=request, reply_to=self.actor_ref, tag=HEARTBEAT, after=journal.durable_lsn)
        self._exchange(message)
        self.after(interval, Tick(name=HEARTBEAT), key=HEARTBEAT)

    @handles(Exchanged)
    def _heartbeat_answered(self, message: Exchanged) -> None:
        token = self.dialect.read_heartbeat(message.reply)
        if not isinstance(token, Unreadable):
            self.heartbeat_token = token

    def _reachable(self) -> None:
        if self.down_since_ns is not None:
            self.down_since_ns = None
            self.context.ref(Paths.ALERTS).tell(Explain(alert_id=self._down_alert, by="the venue answers again"))

    def _unreachable(self, failure: TransportFailure) -> None:
        now = self.now_ns()
        if self.down_since_ns is None:
            self.down_since_ns = now
        if now - self.down_since_ns < self.settings.stream.down_alert_seconds * 1e9:
            return
        self.context.ref(Paths.ALERTS).tell(
            Raise(
                alert=Alert(
                    alert_id=self._down_alert,
                    kind=AlertKind.CONNECTION_DOWN,
                    severity=Severity.CRITICAL,
                    message=(
                        f"{self.account}: requests have failed for {(now - self.down_since_ns) // 1_000_000_000} s; "
                        "open orders count as open, the gateway goes on trying"
                    ),
                    diagnosis="",
                    evidence=(("last failure", failure.why),),
                    opened_at_ns=now,
                    account=self.account,
                )
            )
        )

    @property
    def _down_alert(self) -> AlertId:
        return AlertId(f"connection_down:{self.account}:rest")


@lru_cache(maxsize=ADDRESSES_KEPT)
def _address(service: str, path: str, query: tuple[tuple[str, str], ...]) -> httpx.URL:
    """Most requests go where an earlier one went, and reading an address takes longer than signing a request."""
    return httpx.URL(service + path, params=query) if query else httpx.URL(service + path)


def _named(request: Request, number: int) -> str:
    """What the audit chain calls a request: the order is in its label, and the number tells it from any other."""
    return f"{request.method} {request.path} {request.label}" + (f" #{number}" if number else "")


def _answer(exchange: Exchange, reply: Reply) -> None:
    """Hand a reply over. An order may have ended by other evidence meanwhile: then nobody needs it any more."""
    if exchange.reply_to.is_alive():
        exchange.reply_to.tell(Exchanged(tag=exchange.tag, reply=reply))


def _content(reply: Reply) -> bytes:
    """What an audit record keeps of a reply: status and body, or why there was none."""
    return b"%d %b" % (reply.status, reply.body) if isinstance(reply, Answer) else reply.why.encode()


def _retry_after(answer: Answer) -> float | None:
    for name, value in answer.headers:
        if name == "retry-after" and value.isascii() and value.isdigit():
            return float(value)
    return None
