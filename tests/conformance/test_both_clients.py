"""The two official clients trade with each other, and everybody's records agree at the end."""

from decimal import Decimal

from polymarket import SecureClient
from py_clob_client_v2.clob_types import (  # type: ignore[import-untyped]  # the client ships no types
    AssetType,
    BalanceAllowanceParams,
    OrderArgsV2,
)

from .conftest import Simulator
from .test_polymarket_client import accepted, environment
from .test_py_clob_client_v2 import OWNER, connect, eventually

OTHER_KEY = "0x0123456789012345678901234567890123456789012345678901234567890123"
OTHER = "0x14791697260E4c9A71f18484C9f997B308e59325"


def test_one_client_makes_the_other_takes_and_all_views_agree(simulator: Simulator) -> None:
    yes, no = simulator.tokens("standard")
    maker = connect(simulator)
    with SecureClient.create(private_key=OTHER_KEY, wallet=OTHER, environment=environment(simulator)) as taker:
        # A mint: both buy, opposite outcomes. Then a direct trade of what was minted.
        resting = maker.create_and_post_order(OrderArgsV2(token_id=no, price=0.45, size=40, side="BUY"))
        assert resting["status"] == "live"
        minted = accepted(taker.place_limit_order(token_id=yes, price="0.55", size="40", side="BUY"))
        assert (minted.status, minted.making_amount, minted.taking_amount) == ("matched", Decimal(22), Decimal(40))
        taker.wait_for_order_fill_settlement(minted)
        offer = accepted(taker.place_limit_order(token_id=yes, price="0.60", size="15", side="SELL"))
        assert offer.status == "live"
        bought = maker.create_and_post_order(OrderArgsV2(token_id=yes, price=0.60, size=10, side="BUY"))
        assert (bought["status"], bought["makingAmount"], bought["takingAmount"]) == ("matched", "6", "10")
        eventually(lambda: {row["status"] for row in simulator.ask("trades")} == {"CONFIRMED"})

        theirs = {trade.id: trade for trade in taker.list_account_trades().first_page().items}
        ours = {trade["id"]: trade for trade in maker.get_trades()}
        venue = {str(row["id"]): row for row in simulator.ask("trades")}
        assert set(theirs) == set(ours) == set(venue)
        assert [ours[i]["trader_side"] for i in venue] == ["MAKER", "TAKER"]
        assert [theirs[i].trader_side for i in venue] == ["TAKER", "MAKER"]
        leg = ours[minted.trade_ids[0]]["maker_orders"][0]
        assert (leg["order_id"], leg["asset_id"], leg["matched_amount"]) == (resting["orderID"], no, "40")

        # Orders: one filled, one with five left.
        assert maker.get_order(resting["orderID"])["status"] == "MATCHED"
        (left,) = taker.list_open_orders().first_page().items
        assert (left.id, left.size_matched, left.original_size) == (offer.order_id, Decimal(10), Decimal(15))

        # Positions by the indexer, balances by the venue and by the chain.
        def positions(user: str) -> dict[str, Decimal]:
            return {str(p.asset_id): p.current_size for p in taker.list_positions(user=user).first_page().items}

        assert positions(OTHER) == {yes: Decimal(30)}
        assert positions(OWNER) == {no: Decimal(40), yes: Decimal(10)}
        chain = simulator.balances()
        fees = sum(Decimal(str(row["taker_fee"])) for row in venue.values())
        assert {t: Decimal(a) for t, a in chain[OWNER].items() if t != "pUSD"} == {no: Decimal(40), yes: Decimal(10)}
        assert {t: Decimal(a) for t, a in chain[OTHER].items() if t != "pUSD"} == {yes: Decimal(30)}
        # 40 pairs were minted for cash; nothing else left the two wallets but fees.
        assert Decimal(chain[OWNER]["pUSD"]) + Decimal(chain[OTHER]["pUSD"]) == Decimal(2_000) - Decimal(40) - fees
        cash = maker.get_balance_allowance(BalanceAllowanceParams(asset_type=AssetType.COLLATERAL))["balance"]
        assert Decimal(cash) / 1_000_000 == Decimal(chain[OWNER]["pUSD"])
        assert taker.get_balance_allowance(asset_type="COLLATERAL").balance == Decimal(chain[OTHER]["pUSD"]) * 1_000_000
