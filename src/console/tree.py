"""`tallystick tree`: the actors of a running runtime, what each has waiting and waits for, and what went wrong."""

import sys
import time
from typing import Annotated

import typer

from ..control.protocol import ActorView, Incident, ReadTree, Tree
from .commanding import LOOK_SECONDS, LiveStore, ask_runtime
from .errors import Refusal
from .exit_codes import ExitCode
from .output import Screen, View, print_json
from .reading import JsonOption
from .text import instant, short_instant, short_span

EXAMPLES = """\b
Examples:
  tallystick tree var/main
  tallystick tree var/main --watch
  tallystick tree var/main --stacks --children 200
  tallystick tree var/main --json | jq '.actors[] | select(.restarts > 0) | [.path, .crash.text]'
"""

CLEAR = "\x1b[H\x1b[2J"
QUIET_SECONDS = 0.05
"""A message that waits for less is none that a person could do anything about."""


class TaskView(View, frozen=True):
    name: str
    age_seconds: float
    where: tuple[str, ...]
    cancelled: bool


class TimerView(View, frozen=True):
    name: str
    due_in_seconds: float


class QuestionView(View, frozen=True):
    receiver: str
    message_type: str
    age_seconds: float


class IncidentView(View, frozen=True):
    kind: str
    at: str
    path: str
    incarnation: int
    message_type: str
    text: str
    detail: str


class ActorLine(View, frozen=True):
    """One actor; ``waiting_*`` are the depths of its lanes, ``longest_*`` as far back as the trace ring goes."""

    path: str
    kind: str
    supervisor: bool
    restart: str
    state: str
    incarnation: int
    restarts: int
    failures: int
    waiting_control: int
    waiting_supervision: int
    waiting_user: int
    oldest_seconds: float
    oldest_type: str
    handled: int
    last_type: str
    idle_seconds: float | None
    longest_seconds: float | None
    longest_type: str
    replies_owed: int
    tasks: tuple[TaskView, ...]
    timers: tuple[TimerView, ...]
    asks: tuple[QuestionView, ...]
    crash: IncidentView | None


class HiddenView(View, frozen=True):
    path: str
    count: int


class TreeView(View, frozen=True):
    runtime: str
    build: str
    at: str
    started_at: str
    messages_handled: int
    dead_letters: dict[str, int]
    actors: tuple[ActorLine, ...]
    hidden: tuple[HiddenView, ...]
    incidents: tuple[IncidentView, ...]


def view(tree: Tree) -> TreeView:
    """The tree as it is shown."""
    return TreeView(
        runtime=tree.runtime,
        build=tree.build,
        at=instant(tree.at_ns),
        started_at=instant(tree.started_at_ns),
        messages_handled=tree.messages_handled,
        dead_letters=tree.dead_letters,
        actors=tuple(_line(actor) for actor in tree.actors),
        hidden=tuple(HiddenView(path=hidden.path, count=hidden.count) for hidden in tree.hidden),
        incidents=tuple(_incident(incident) for incident in tree.incidents),
    )


def _incident(incident: Incident) -> IncidentView:
    return IncidentView(
        kind=incident.kind,
        at=instant(incident.at_ns),
        path=incident.path,
        incarnation=incident.incarnation,
        message_type=incident.message_type,
        text=incident.text,
        detail=incident.detail,
    )


def _line(actor: ActorView) -> ActorLine:
    found, handling = actor.snapshot, actor.handling
    return ActorLine(
        path=found.path,
        kind=found.actor_class,
        supervisor=found.is_supervisor,
        restart=found.restart,
        state=found.state,
        incarnation=found.incarnation,
        restarts=found.restarts,
        failures=found.failures,
        waiting_control=found.lanes.control,
        waiting_supervision=found.lanes.supervision,
        waiting_user=found.lanes.user,
        oldest_seconds=found.oldest_age_seconds,
        oldest_type=found.oldest_type,
        handled=found.handled,
        last_type="" if handling is None else handling.last_type,
        idle_seconds=actor.idle_seconds,
        longest_seconds=None if handling is None else handling.longest_seconds,
        longest_type="" if handling is None else handling.longest_type,
        replies_owed=found.deferred,
        tasks=tuple(
            TaskView(name=task.name, age_seconds=task.age_seconds, where=task.where, cancelled=task.cancelled)
            for task in found.tasks
        ),
        timers=tuple(TimerView(name=timer.name, due_in_seconds=timer.due_in_seconds) for timer in found.timers),
        asks=tuple(
            QuestionView(receiver=ask.receiver, message_type=ask.message_type, age_seconds=ask.age_seconds)
            for ask in found.questions
        ),
        crash=None if actor.crash is None else _incident(actor.crash),
    )


# ---- for people -------------------------------------------------------------------------------------------


def _indented(path: str) -> str:
    depth = path.count("/") if path != "/" else 0
    return "  " * depth + (path.rpartition("/")[2] or "/")


def _seconds(seconds: float) -> str:
    return short_span(int(seconds * 1e9))


def _mailbox(row: ActorLine) -> str:
    depths = (
        (row.waiting_control, "control"),
        (row.waiting_supervision, "supervision"),
        (row.waiting_user, "waiting"),
    )
    said = ", ".join(f"{count} {name}" for count, name in depths if count)
    if row.waiting_user and row.oldest_seconds >= QUIET_SECONDS:
        said += f", {row.oldest_type} for {_seconds(row.oldest_seconds)}"
    return said


def _waits_for(row: ActorLine) -> str:
    parts = [f"{ask.receiver} for {ask.message_type} ({_seconds(ask.age_seconds)})" for ask in row.asks]
    for task in row.tasks:
        cancelled = ", cancelled" if task.cancelled else ""
        where = f" in {task.where[-1]}" if task.where else ""
        parts.append(f"task {task.name} ({_seconds(task.age_seconds)}{cancelled}{where})")
    if row.timers:
        first = row.timers[0]
        more = f" and {len(row.timers) - 1} more" if len(row.timers) > 1 else ""
        parts.append(f"timer {first.name} in {_seconds(max(first.due_in_seconds, 0.0))}{more}")
    if row.replies_owed:
        parts.append(f"owes {row.replies_owed} replies")
    return "; ".join(parts)


def show(found: TreeView, screen: Screen, *, stacks: bool = False) -> None:
    """The tree for people, then what went wrong lately."""
    letters = ", ".join(f"{count} {kind}" for kind, count in found.dead_letters.items()) or "none"
    screen.fields(
        [
            ("runtime", f"{found.runtime}, build {found.build}, since {short_instant(found.started_at)} UTC"),
            ("at", f"{short_instant(found.at)} UTC"),
            ("messages", f"{found.messages_handled} handled"),
            ("dead letters", letters),
        ]
    )
    screen.line()
    hidden = {row.path: row.count for row in found.hidden}
    rows: list[tuple[str | None, ...]] = []
    for row in found.actors:
        restarts = f"{row.restarts}" if row.restarts else ""
        longest = ""
        if row.longest_seconds is not None and row.longest_seconds >= 0.001:
            longest = f"{_seconds(row.longest_seconds)} {row.longest_type}"
        rows.append(
            (
                _indented(row.path),
                "supervisor" if row.supervisor else row.kind,
                row.state,
                str(row.incarnation),
                restarts,
                str(row.handled),
                _mailbox(row),
                longest,
                _waits_for(row),
            )
        )
        if row.path in hidden:
            rows.append((f"{_indented(row.path)}  … {hidden[row.path]} more", *("" for _ in range(8))))
    screen.table(
        ("actor", "kind", "state", "#life", "#restarts", "#handled", "mailbox", "longest", "waits for"),
        rows,
        empty="no actors",
    )
    if stacks:
        _show_stacks(found, screen)
    if found.incidents:
        screen.title("What went wrong, the newest first")
        for incident in found.incidents:
            screen.line(f"  {short_instant(incident.at)}  {incident.text}", "red")
            if stacks and incident.detail:
                for line in incident.detail.splitlines():
                    screen.line(f"      {line}")


def _show_stacks(found: TreeView, screen: Screen) -> None:
    screen.title("Tasks, with the frames in which they wait")
    for row in found.actors:
        for task in row.tasks:
            screen.line(f"  {row.path}: {task.name} ({_seconds(task.age_seconds)})")
            for frame in task.where:
                screen.line(f"      {frame}")


def tree(
    store: LiveStore,
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again and again, until Ctrl-C.")] = False,
    every_seconds: Annotated[float, typer.Option(min=0.1, max=3600, help="How often --watch looks.")] = 2.0,
    stacks: Annotated[
        bool, typer.Option("--stacks", help="Each task with its frames, and each crash with its traceback.")
    ] = False,
    children: Annotated[
        int, typer.Option(min=0, max=1000, help="How many orders or intents of a set to show, troubled ones first.")
    ] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show the live tree: state, restarts, mailbox and what each actor waits for, with stacks of what hangs."""
    while True:
        answer = ask_runtime(store, ReadTree(children_maximum=children), timeout_seconds=LOOK_SECONDS)
        if not isinstance(answer, Tree):
            raise Refusal(ExitCode.NOT_ANSWERED, f"the runtime answered with {type(answer).__name__}")
        found = view(answer)
        if as_json:
            print_json(found)
        else:
            if watch and sys.stdout.isatty():
                sys.stdout.write(CLEAR)
            show(found, Screen(), stacks=stacks)
        if not watch:
            return
        sys.stdout.flush()
        time.sleep(every_seconds)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("tree", epilog=EXAMPLES)(tree)
