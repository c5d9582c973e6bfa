"""Where the crash tests play: a simulated venue in a process of its own, a wallet, a configuration, and a crowd."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Literal

import msgspec
from tallystick.testing.day_run import VenueBooks, VenueOrder, VenueTrade
from tallystick.testing.venue_process import VenueFailed, VenueProcess, venue_process
from tallystick.venues.polymarket.signing import Signer
from tallystick.venues.sim.polymarket import actions
from tallystick.venues.sim.polymarket.faults import DelayRequest, HideFromLists

from . import points
from .processes import Commander, Life

RAIN = "will-it-rain-in-lisbon-this-week"
TALLY = "will-the-tally-match-tomorrow"
MARKETS = (RAIN, TALLY)
CASH = Decimal(1_000_000)
CROWD = "crowd"
BID, INSIDE, ASK = "0.40", "0.41", "0.42"
"""The crowd's standing prices for YES of either market, and the one between, at which nobody stands."""
FAR_SECONDS = 0.04
TRAIL_SECONDS = 0.7
SERVICES = ("clob", "data", "gamma", "rpc", "ws_market", "ws_user")

CONFIGURATION = """\
[runtime]
name = "{name}"
store = "store"
durability = "fsync"
{runtime}

[accounts."polymarket:main"]
chain_id = 137
signature_type = 0
opening = "require_flat"
markets = ["{tally}", "{rain}"]
credentials = {{ environment = "CRASH" }}

[accounts."polymarket:main".services]
{services}

# A life lasts a second, so everything that a production runtime does in minutes is to happen in one.
[accounts."polymarket:main".reconciler]
cadence_seconds = 2
spacing_seconds_minimum = 0.05
overlap_seconds = 10
stream_grace_seconds = 0.5

[accounts."polymarket:main".witness]
cadence_seconds = 1

[accounts."polymarket:main".stream]
backoff_seconds_minimum = 0.1

[accounts."polymarket:main".orders]
send_within_seconds = 60
confirm_within_seconds = 0.15
query_backoff_seconds_minimum = 0.1
query_backoff_seconds_maximum = 1
resend_after_seconds = 0.1

[strategies.demo]
accounts = ["polymarket:main"]
active_intents_maximum = 256
"""


class _Market(msgspec.Struct):
    slug: str
    token_ids: tuple[str, ...]
    outcomes: tuple[str, ...]


class _State(msgspec.Struct):
    markets: tuple[_Market, ...]
    balances: dict[str, dict[str, Decimal]]


class Stage:
    """One venue, one account, one store; runtimes come and go."""

    def __init__(self, folder: Path, venue: VenueProcess, commander: Commander, key: str) -> None:
        self.key = key
        self.owner = Signer(key).address
        self.folder = folder
        self.venue = venue
        self.store = folder / "store"
        self.configuration = folder / "crash.toml"
        self._commander = commander

    def configure(self, *, name: str = "crash", runtime: str = "") -> None:
        addresses = msgspec.structs.asdict(self.venue.addresses)
        self.configuration.write_text(
            CONFIGURATION.format(
                name=name,
                runtime=runtime,
                tally=TALLY,
                rain=RAIN,
                services="\n".join(f'{service} = "{addresses[service]}"' for service in SERVICES),
            )
        )

    @property
    def arguments(self) -> tuple[str, ...]:
        """What follows `tallystick`: a runtime that takes intents on standard input and stays."""
        return "run", str(self.configuration), "--intents", "-", "--stay", "--json", "--log-json"

    @property
    def environment(self) -> dict[str, str]:
        return {"CRASH_PRIVATE_KEY": self.key}

    def start(self, *arguments: str, point: points.Point | None = None, file_bytes_max: int | None = None) -> Life:
        """Fork one from the nursery."""
        return self._commander.start(
            *self.arguments,
            *arguments,
            log=self.folder / "log",
            environment=self.environment,
            point=point,
            file_bytes_max=file_bytes_max,
        )

    def command(self, *arguments: str) -> None:
        """Run another `tallystick` command beside the runtime, to its end."""
        log = self.folder / "command-log"
        life = self._commander.start(*arguments, log=log, environment=self.environment, tells=False)
        code = life.ends()
        assert code == 0, f"{arguments} ended with {code}: {life.log}"

    # ---- the crowd ----------------------------------------------------------------------------------------

    def quote(self) -> None:
        """Have the crowd stand in both markets, with more than anybody here ever asks for."""
        for market in MARKETS:
            self.venue.do(
                actions.SetQuotes(
                    participant=CROWD,
                    market=market,
                    outcome="Yes",
                    bids=((Decimal(BID), Decimal(100_000)),),
                    asks=((Decimal(ASK), Decimal(100_000)),),
                )
            )

    def crowd(self, market: str, side: Literal["BUY", "SELL"], size: Decimal) -> None:
        """Somebody takes what rests between the crowd's prices, as much as there is, and leaves nothing behind."""
        try:
            self.venue.do(
                actions.PlaceOrder(
                    participant="passer-by",
                    market=market,
                    outcome="Yes",
                    side=side,
                    price=Decimal(INSIDE),
                    size=size,
                    order_type="FAK",
                )
            )
        except VenueFailed as refused:
            # Nothing rested there; the venue kills an order that finds nobody.
            if "400" not in str(refused):
                raise

    def move_away(self) -> None:
        """Have the venue far away and slow: requests wait before they act, and its lists trail its stream."""
        for method, path in (("POST", "/order"), ("DELETE", "/order")):
            self.venue.do(actions.PutOnFault(fault=DelayRequest(method=method, path=path, by_seconds=FAR_SECONDS)))
        self.venue.do(actions.PutOnFault(fault=HideFromLists(lag_seconds=TRAIL_SECONDS)))

    # ---- the venue's own books ----------------------------------------------------------------------------

    def orders(self) -> list[VenueOrder]:
        """Every order of ours that the venue ever took."""
        return list(self.venue.ask(f"orders?owner={self.owner}", tuple[VenueOrder, ...]))

    def books(self) -> VenueBooks:
        trades = self.venue.ask(f"trades?owner={self.owner}", tuple[VenueTrade, ...])
        return VenueBooks(orders=tuple(self.orders()), trades=trades, script_errors=())

    def wallet(self) -> dict[str, Decimal]:
        """What the chain says that the wallet holds, by our names for it: "pUSD" and "market:outcome"."""
        state = self.venue.ask("state", _State)
        names = {
            token: f"polymarket:{market.slug}:{outcome}"
            for market in state.markets
            for token, outcome in zip(market.token_ids, market.outcomes, strict=True)
        }
        held = state.balances.get(self.owner, {})
        return {names.get(asset, asset): amount for asset, amount in held.items()}


@contextmanager
def stage(folder: Path, commander: Commander) -> Iterator[Stage]:
    """A venue that outlives every runtime of the block, with a crowd and a funded wallet."""
    with venue_process(["--port", "0"], log=folder / "venue-log") as venue:
        fund(venue, 0)
        yield another(folder, venue, commander, 0)


def fund(venue: VenueProcess, number: int) -> None:
    """Give one of our keys its money. It takes some blocks until that is final, and a runtime waits for it."""
    venue.do(actions.CreateAccount(owner=Signer(private_key(number)).address, cash=CASH))


def private_key(number: int) -> str:
    return f"0x{0xDEAD0C0FFEE + number:064x}"


def another(folder: Path, venue: VenueProcess, commander: Commander, number: int) -> Stage:
    """One more account at a venue, with a wallet of its own, and a store that is still to be made."""
    made = Stage(folder, venue, commander, private_key(number))
    made.configure()
    made.quote()
    return made


# ---- intents ----------------------------------------------------------------------------------------------


def expiry(seconds: float) -> str:
    """A time so many seconds from now: a host that hands in an intent again needs one that stays the same."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def single(intent_id: str, *, seconds: float = 20, **fields: object) -> bytes:
    """A purchase of ten, which rests where nobody sells unless the price says otherwise."""
    return json.dumps(
        {
            "kind": "single",
            "intent_id": intent_id,
            "strategy": "demo",
            "instrument": f"polymarket:{RAIN}:Yes",
            "side": "buy",
            "quantity": "10",
            "limit_price": INSIDE,
            "expires_at": expiry(seconds),
            **fields,
        }
    ).encode()


def pair(intent_id: str, *, seconds: float = 5, long: str = ASK, short: str = BID, notional: str = "10") -> bytes:
    """Long rain and short tally; the prices say which leg finds somebody to trade with."""
    return json.dumps(
        {
            "kind": "pair",
            "intent_id": intent_id,
            "strategy": "demo",
            "long": {"instrument": f"polymarket:{RAIN}:Yes", "limit_price": long},
            "short": {"instrument": f"polymarket:{TALLY}:Yes", "limit_price": short},
            "notional": notional,
            "expires_at": expiry(seconds),
        }
    ).encode()
