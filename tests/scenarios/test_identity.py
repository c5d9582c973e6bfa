"""One order stays one order: duplicates, client order ids, and what looks like a refusal and is a duplicate."""

import ast
from pathlib import Path

import msgspec
import tallystick
import trio
from hypothesis import given
from hypothesis import strategies as st
from tallystick.model.event import IntentAccepted, OrderDone, OrderSubmitted, SliceComputed
from tallystick.model.identifiers import IntentId, StrategyName, client_order_id, salt_of
from tallystick.model.order import Sent
from tallystick.model.outcome import Rejected
from tallystick.testing.world.rigs import RIGS
from tallystick.testing.world.venue import VenueRig
from tallystick.testing.world.venue_faults import (
    Asked,
    DelayRequest,
    FailAfterAccept,
    FreezeStream,
    HideOrders,
    LagLists,
    LoseAnswer,
    Refusal,
    Refuse,
)
from tallystick.testing.world.world import World

from .kit import bought, busy, changed_dialect, row, sleep_until_sent, wire_orders, without_dead_man

SOURCES = Path(tallystick.__file__).parent


# ---- blind repetition -------------------------------------------------------------------------------------


def without_duplicate_protection(rig: VenueRig) -> VenueRig:
    """The same venue, that does not promise to recognise bytes it has seen."""

    def capabilities(dialect: object) -> object:
        promised = RIGS[rig.name]().dialect().capabilities
        return msgspec.structs.replace(promised, duplicates_refused_by_venue=False)

    return changed_dialect(rig, {"capabilities": capabilities})


@row(13, needs=(LoseAnswer(asked=Asked.PLACE), HideOrders()), rig=without_duplicate_protection)
async def test_nothing_is_sent_twice_to_a_venue_that_does_not_recognise_what_it_has_seen(world: World) -> None:
    """T13: the submit times out and the venue shows nothing; without a proof of absence there is no second one."""
    world.venue.put_on(LoseAnswer(asked=Asked.PLACE, count=1))
    world.venue.put_on(HideOrders(seconds=200))
    world.venue.put_on(LagLists(by_seconds=300, seconds=200))
    world.venue.put_on(FreezeStream(seconds=200))
    ticket = await world.submit(world.single(seconds=600))
    await trio.sleep(190)
    assert len(wire_orders(world)) == 1
    assert not world.events(OrderDone)
    await world.until(lambda: not isinstance(world.order(), Sent), seconds=60)
    world.crowd.sells(world.instruments[0], "0.44", "50")
    assert (await world.end_of(ticket)).outcome == "filled"
    assert len(wire_orders(world)) == 1


@row(13, needs=(Refuse(asked=Asked.PLACE, how=Refusal.HTML),), rig=without_duplicate_protection, agrees=False)
async def test_a_doubt_that_nothing_can_resolve_stays_open_and_visible(world: World) -> None:
    """T13: the bytes never arrived, and no answer can prove that; it is counted, alerted and not resent."""
    world.venue.put_on(Refuse(asked=Asked.PLACE, how=Refusal.HTML, count=1))
    ticket = await world.submit(world.single(seconds=30))
    await world.until(lambda: world.opened("order_unconfirmed"), seconds=100)
    await trio.sleep(300)
    assert ticket.ended is None
    assert len(wire_orders(world)) == 1
    buys, _sells = world.ledger.open_quantities[world.rig.account, world.instruments[0]]
    assert buys == 50


@row(14, needs=(FailAfterAccept(asked=Asked.PLACE),))
async def test_an_acceptance_by_the_stream_ends_every_thought_of_sending_again(world: World) -> None:
    """T14: the answer is an error of unknown meaning, and the stream shows the order: one submit on the wire."""
    world.venue.put_on(FailAfterAccept(asked=Asked.PLACE, count=1))
    ticket = await world.submit(world.single(seconds=120))
    await trio.sleep(100)
    assert len(wire_orders(world)) == 1
    world.crowd.sells(world.instruments[0], "0.44", "50")
    assert (await world.end_of(ticket)).outcome == "filled"


@row(24, needs=(DelayRequest(asked=Asked.PLACE, by_seconds=25), HideOrders()))
async def test_a_refusal_that_says_the_first_copy_has_arrived_is_a_question_and_not_an_end(world: World) -> None:
    """T24: the first copy arrives after the second and is refused as seen before; that is no rejection."""
    world.venue.put_on(DelayRequest(asked=Asked.PLACE, by_seconds=25, count=1))
    ticket = await world.submit(world.single(seconds=90))
    await world.until(lambda: len(wire_orders(world)) >= 2)
    await trio.sleep(40)
    assert not world.events(OrderDone)
    world.crowd.sells(world.instruments[0], "0.44", "50")
    assert (await world.end_of(ticket)).outcome == "filled"
    assert len(set(wire_orders(world))) == 1
    assert not [event for event in world.events(OrderDone) if isinstance(event.outcome, Rejected)]


# ---- nothing without a journalled id ----------------------------------------------------------------------


@row(15, strategy=busy)
async def test_no_bytes_of_an_order_leave_before_the_journal_has_them_under_its_id(world: World) -> None:
    """T15: at the moment in which a request leaves, its bytes are durable under a client order id."""
    seen = []

    def left(body: bytes | None) -> None:
        if body is not None:
            durable = {event.body: event.client_order_id for event in world.events(OrderSubmitted)}
            seen.append(durable[body])

    world.at_request.append(lambda request: left(world.rig.order_body(request)))
    world.disk.latency_seconds = 0.25
    tickets = [await world.submit(world.single(f"i{number}", quantity="5", seconds=5)) for number in range(5)]
    for ticket in tickets:
        await world.end_of(ticket)
    assert len(set(seen)) == 5


def test_one_module_writes_to_a_venue_and_one_makes_orders_for_it() -> None:
    """T15: every path to the wire is the gateway's, and only the order actor, which journals first, hands it orders."""
    calls: dict[str, set[str]] = {}
    for path in sorted(SOURCES.rglob("*.py")):
        place = path.relative_to(SOURCES).as_posix()
        if place.startswith(("testing/", "venues/sim/")):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                calls.setdefault(name, set()).add(place)
    assert calls["handle_async_request"] == {"actors/gateway.py"}
    for orders_only in ("prepare", "resend", "OrderSubmitted"):
        assert calls[orders_only] == {"actors/order.py"}, orders_only


# ---- ids --------------------------------------------------------------------------------------------------


@row(16, settings=without_dead_man, strategy=busy)
async def test_a_runtime_whose_indexes_were_lost_makes_no_id_twice(world: World) -> None:
    """T16: every table and snapshot is gone at each restart; ids come from intents, not from what is remembered."""
    for start in range(10):
        tickets = [await world.submit(world.single(f"{start}-{n}", quantity="5", seconds=2)) for n in range(20)]
        for ticket in tickets:
            await world.end_of(ticket)
        await world.stop()
        world.disk.indexes = (0, frozenset())
        await world.start_live()
    names = [event.client_order_id for event in world.events(OrderSubmitted)]
    assert len(names) == len(set(names)) == 200
    assert len({order.venue_order_id for order in world.venue.orders()}) == 200


@row(16, strategy=busy, settings=without_dead_man)
async def test_intents_handed_in_again_after_every_restart_make_no_second_order(world: World) -> None:
    """T16: the host starts from its own beginning each time and hands in everything it ever did."""
    intents = [world.single(f"i{number}", quantity="5", seconds=3_000) for number in range(20)]
    for _ in range(5):
        for intent in intents:
            await world.submit(intent)
        await trio.sleep(1)
        await world.crash_and_restart()
        await world.live()
    assert len(world.venue.orders()) == 20
    assert len(world.events(IntentAccepted)) == 20


def test_eight_instances_under_one_frozen_clock_share_no_id() -> None:
    """T17: no clock and no counter is in an id, so equal clocks cannot make equal ids."""
    names = {
        client_order_id(StrategyName(f"instance {process}"), IntentId(f"i{number}"), 0, 0, 0)
        for process in range(8)
        for number in range(10_000)
    }
    assert len(names) == 80_000
    assert len({salt_of(name) for name in names}) == 80_000


def test_a_million_ids_in_a_row_are_a_million() -> None:
    """T18: the part of an id that tells strategies apart is long enough for any number of them."""
    # The readable part is the same for all: what is left to tell them apart is the digest.
    digests = {client_order_id(StrategyName(f"s{n}"), IntentId("one"), 0, 0, 0) for n in range(1_000_000)}
    assert len(digests) == 1_000_000


Name = st.text(st.characters(codec="ascii", min_codepoint=33, exclude_characters="\x00"), min_size=1, max_size=12)
Identity = st.tuples(Name, Name, st.integers(0, 1), st.integers(0, 999), st.integers(0, 9))


@given(first=Identity, second=Identity)
def test_what_differs_in_anything_has_another_id_and_what_is_the_same_has_the_same(
    first: tuple[str, str, int, int, int], second: tuple[str, str, int, int, int]
) -> None:
    """T18: uniqueness follows from the construction, and does not need luck."""

    def identity(parts: tuple[str, str, int, int, int]) -> str:
        strategy, intent, *numbers = parts
        return client_order_id(StrategyName(strategy), IntentId(intent), *numbers)

    assert (identity(first) == identity(second)) is (first == second)


@row(20, settings=without_dead_man)
async def test_ten_restarts_with_an_open_position_add_no_order(world: World) -> None:
    """T20: recovery reads, and invents nothing."""
    await bought(world)
    ticket = await world.submit(world.single("rests", quantity="10", price="0.30", seconds=3_600))
    await sleep_until_sent(world, 2)
    before = (len(world.events(SliceComputed)), len(world.venue.orders()))
    for number in range(10):
        await (world.crash_and_restart() if number % 2 else world.restart())
        await world.live()
        await trio.sleep(5)
    assert (len(world.events(SliceComputed)), len(world.venue.orders())) == before == (2, 2)
    assert ticket.ended is None


@row(17)
async def test_signing_under_a_frozen_clock_makes_as_many_orders_as_there_are_ids(world: World) -> None:
    """T17: what the venue tells orders apart by differs although everything else in them is the same."""
    await world.end_of(await world.submit(world.single(seconds=1)))
    terms = world.order().terms
    dialect = world.context.dialects[world.rig.account]
    rules = world.ledger.instruments[terms.instrument]
    now_ns = world.clock.wall_ns()

    def venue_order_id(number: int) -> str:
        name = client_order_id(terms.strategy, IntentId(f"other{number}"), 0, 0, 0)
        return dialect.prepare(msgspec.structs.replace(terms, client_order_id=name), rules, now_ns).venue_order_id

    assert len({venue_order_id(number) for number in range(300)}) == 300
    assert venue_order_id(7) == venue_order_id(7)
