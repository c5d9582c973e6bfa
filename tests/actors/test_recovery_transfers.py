"""What moves without a trade is booked once with its evidence, told to a person, and nobody's fill."""

from decimal import Decimal

import trio
from tallystick.model.event import FillRecorded, LedgerRead, StrategyPaused, TransferBooked
from tallystick.model.transfer import TransferKind
from tallystick.venues.sim.polymarket import actions
from tallystick.venues.sim.polymarket.faults import RefuseRequest
from tallystick.venues.sim.polymarket.markets import MarketSpec

from .harness import ACCOUNT, CASH, OWNER, RAIN_NO, RAIN_YES, STRATEGY, World, scenario, single
from .test_position_truth import agree, buy

ELSEWHERE = "0x" + "77" * 20


def withdraw(world: World, amount: str = "10") -> str:
    """Move cash out by hand; returns the transaction."""
    done = world.do(actions.Transfer(source=OWNER, target=ELSEWHERE, asset="cash", amount=Decimal(amount)))
    return str(done["transaction_hash"])


def deposit(world: World, amount: str = "10") -> str:
    """Have somebody else pay cash in; returns the transaction."""
    world.do(actions.CreateAccount(owner=ELSEWHERE))
    done = world.do(actions.Transfer(source=ELSEWHERE, target=OWNER, asset="cash", amount=Decimal(amount)))
    return str(done["transaction_hash"])


def booked(world: World) -> list[TransferBooked]:
    return world.events(TransferBooked)


async def booked_more_than(world: World, number: int) -> None:
    await world.until(lambda: len(booked(world)) > number)


@scenario()
async def test_a_withdrawal_is_booked_once_with_its_evidence_and_pauses_the_strategies(world: World) -> None:
    transaction = withdraw(world)
    await world.until(lambda: world.alerts("drift"))
    (event,) = booked(world)
    assert event.transfer.transaction == transaction
    assert event.transfer.kind is TransferKind.WITHDRAWAL
    (moved,) = event.transfer.movements
    assert moved.asset == CASH
    assert moved.quantity == -10
    assert moved.references
    assert ELSEWHERE.lower() in moved.counterparties[0].lower()
    (alert,) = world.alerts("drift")
    assert alert.diagnosis == "transfer"
    assert "cash was withdrawn without a trade; it is booked" in alert.message
    assert transaction in dict(alert.evidence)["transaction"]
    assert alert.state.is_open
    await world.until(lambda: world.ledger.strategy(STRATEGY).paused)
    await agree(world)
    assert world.held(CASH) == 990 == world.wallet()
    await trio.sleep(1_500)
    assert len(booked(world)) == 1
    assert len(world.opened("drift")) == 1
    assert len(world.events(StrategyPaused)) == 1
    assert not world.events(FillRecorded)


@scenario()
async def test_a_deposit_and_a_rebate_are_told_explained_and_pause_nobody(world: World) -> None:
    transaction = deposit(world)
    world.do(actions.PayRebate(wallet=OWNER, amount=Decimal("0.25")))
    await world.until(lambda: len(booked(world)) == 2)
    assert {event.transfer.kind for event in booked(world)} == {TransferKind.DEPOSIT}
    await agree(world)
    assert world.held(CASH) == Decimal("1010.25") == world.wallet()
    alerts = {alert.alert_id: alert for alert in world.alerts("transfer")}
    assert not alerts[next(name for name in alerts if transaction in name)].state.is_open
    assert not world.alerts("drift")
    assert world.ledger.strategy(STRATEGY).paused is None


@scenario()
async def test_a_split_and_a_merge_by_hand_change_the_accounts_book_and_no_strategys(world: World) -> None:
    world.do(actions.Split(wallet=OWNER, market="rain", amount=Decimal(40)))
    await world.until(lambda: booked(world))
    assert booked(world)[0].transfer.kind is TransferKind.SPLIT
    await agree(world)
    assert world.held(RAIN_YES) == world.held(RAIN_NO) == 40
    assert world.held(CASH) == 960
    assert (STRATEGY, RAIN_YES) not in world.ledger.positions
    world.do(actions.Merge(wallet=OWNER, market="rain", amount=Decimal(15)))
    await world.until(lambda: len(booked(world)) == 2)
    assert booked(world)[1].transfer.kind is TransferKind.MERGE
    await agree(world)
    assert world.held(RAIN_YES) == world.held(RAIN_NO) == 25
    assert world.held(CASH) == 975
    assert {alert.diagnosis for alert in world.alerts()} == {"transfer"}


@scenario()
async def test_a_redemption_is_the_settlement_of_a_resolved_market(world: World) -> None:
    await buy(world)
    await agree(world)
    cash = world.held(CASH)
    world.do(actions.ResolveMarket(market="rain", outcome="Yes"))
    world.do(actions.Redeem(wallet=OWNER, market="rain"))
    await world.until(lambda: booked(world))
    (event,) = booked(world)
    assert event.transfer.kind is TransferKind.REDEMPTION
    await agree(world)
    assert world.held(RAIN_YES) == 0
    assert world.held(CASH) == cash + 50 == world.wallet()
    assert not world.alerts("drift")
    assert world.ledger.strategy(STRATEGY).paused is None


@scenario()
async def test_shares_that_leave_by_hand_are_missing_from_the_book_at_once_and_not_from_the_strategys(
    world: World,
) -> None:
    await buy(world)
    await agree(world)
    world.do(actions.Transfer(source=OWNER, target=ELSEWHERE, asset=world.token(RAIN_YES), amount=Decimal(20)))
    await world.until(lambda: world.alerts("drift"))
    assert booked(world)[0].transfer.kind is TransferKind.POSITION_OUT
    await agree(world)
    assert world.held(RAIN_YES) == 30 == world.wallet(RAIN_YES)
    assert world.ledger.positions[STRATEGY, RAIN_YES].matched == 50
    await world.until(lambda: world.ledger.strategy(STRATEGY).paused)


@scenario()
async def test_what_came_and_went_between_two_comparisons_is_on_record_all_the_same(world: World) -> None:
    out, back = withdraw(world), deposit(world)
    await world.until(lambda: len(booked(world)) == 2, seconds=700)
    assert [event.transfer.transaction for event in booked(world)] == [out, back]
    assert world.held(CASH) == 1000 == world.wallet()


@scenario()
async def test_a_transfer_during_downtime_is_booked_by_the_next_start_before_it_is_live(world: World) -> None:
    await buy(world)
    await agree(world)
    await world.stop()
    withdraw(world, "30")
    await trio.sleep(4_000)
    await world.start()
    await world.live()
    (event,) = booked(world)
    assert event.transfer.kind is TransferKind.WITHDRAWAL
    assert world.held(CASH) == world.wallet()
    record = world.sweeps()[-1].record
    assert record.trigger == "start"
    assert record.holdings_compared
    assert not record.differences


@scenario()
async def test_a_transfer_is_booked_once_however_often_the_process_dies_around_it(world: World) -> None:
    for number in range(4):
        withdraw(world)
        await booked_more_than(world, number)
        await world.crash_and_restart(keep=number % 2)
        await world.live()
    await agree(world)
    transactions = [event.transfer.transaction for event in booked(world)]
    assert len(transactions) == len(set(transactions)) == 4
    assert world.held(CASH) == 960 == world.wallet()


@scenario()
async def test_a_crash_before_the_booking_was_durable_books_it_after_the_restart(world: World) -> None:
    withdraw(world)
    world.crash_on(TransferBooked)
    await world.until(lambda: world.crashes)
    await agree(world)
    assert len(booked(world)) == 1
    assert world.held(CASH) == 990


@scenario()
async def test_a_reorganisation_of_blocks_that_were_not_final_is_never_noticed(world: World) -> None:
    withdraw(world)
    await trio.sleep(2.5)
    world.do(actions.Reorg(depth=1))
    await world.until(lambda: booked(world), seconds=200)
    await agree(world)
    assert world.held(CASH) == 990 == world.wallet()
    assert not world.alerts("history_changed")


@scenario()
async def test_a_final_block_that_changes_is_alerted_its_balances_are_not_believed_and_nothing_is_doubled(
    world: World,
) -> None:
    await trio.sleep(100)
    withdraw(world)
    await world.until(lambda: booked(world))
    world.do(actions.Reorg(depth=40))
    withdraw(world, "5")
    await world.until(lambda: world.alerts("history_changed"), seconds=700)
    await agree(world)
    assert sorted(event.transfer.movements[0].quantity for event in booked(world)) == [-10, -5]
    assert world.held(CASH) == 985 == world.wallet()
    assert len(world.opened("history_changed")) == 1


@scenario()
async def test_a_transfer_that_the_node_cannot_show_is_booked_as_soon_as_it_can(world: World) -> None:
    read = len(world.events(LedgerRead))
    world.fault(RefuseRequest(path="/rpc", kind="internal_error", seconds=90))
    withdraw(world)
    await trio.sleep(60)
    assert not booked(world)
    assert len(world.events(LedgerRead)) == read
    world.heal()
    await world.until(lambda: booked(world), seconds=200)
    await agree(world)
    assert world.held(CASH) == 990


@scenario()
async def test_tokens_of_a_market_that_nobody_follows_are_recorded_and_in_no_book(world: World) -> None:
    world.do(actions.CreateMarket(market=MarketSpec(question="Hail?", slug="hail")))
    (market,) = (found for found in world.server.venue.catalogue.all() if found.slug == "hail")
    world.do(actions.CreateAccount(owner=OWNER, cash=Decimal(0), shares=((str(market.token_ids[0]), Decimal(9)),)))
    await world.until(lambda: booked(world), seconds=700)
    (event,) = booked(world)
    (moved,) = event.transfer.movements
    assert not moved.followed
    assert moved.quantity == 9
    await trio.sleep(100)
    assert set(world.ledger.holdings) == {(ACCOUNT, CASH)}


@scenario()
async def test_trading_on_goes_beside_transfers_without_a_drift(world: World) -> None:
    deposit(world, "20")
    await buy(world, "i1")
    deposit(world, "30")
    world.crowd.sells(RAIN_YES, "0.44", "20")
    assert (await world.end_of(await world.submit(single("i2", quantity="20")))).outcome == "filled"
    await world.until(lambda: len(booked(world)) == 2, seconds=200)
    await agree(world)
    assert world.held(CASH) == world.wallet()
    assert not world.alerts("drift")
