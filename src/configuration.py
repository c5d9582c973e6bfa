"""Reads the one configuration file and checks all of it before anything connects.

    [runtime]
    store = "../var/main"                          # relative to this file

    [accounts."polymarket:main"]
    signature_type = 3
    markets = ["0x5f65…"]
    credentials = { file = "polymarket.toml" }

    [strategies.weather]
    accounts = ["polymarket:main"]

`load_configuration` returns the whole file as frozen values, or raises `ConfigurationError` with every problem in it
at once. Secrets are not read here: a `CredentialsSource` says where they are (`tallystick.credentials`). No value of
an unknown key and nothing of a credentials table is ever repeated in an error.
"""

import difflib
import ipaddress
import os
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

from .actors.settings import AccountSettings, StrategySettings, TraceScope
from .credentials import CredentialsEnvironment, CredentialsFile, CredentialsSource, CredentialsSystemd
from .model.identifiers import AccountId, AssetId, StrategyName, VenueName
from .model.value import Value
from .store.lmdb_store import MAP_SIZE_BYTES_MAX, Durability
from .store.retention import Retention
from .toml_settings import OFF, SECONDS, read_fields
from .toml_table import Bounds, Problem, Report, Table, read_toml, shown

# ---- what a file becomes ----------------------------------------------------------------------------------


CONTROL_SOCKET = "control.sock"
"""The socket for operators, beside the store's files."""
WATCHDOG_SECONDS = 5.0


class RuntimeConfiguration(Value, frozen=True):
    """The runtime itself. `store` is a path, `map_size_bytes_max` the ceiling to which it may grow (design 5).

    `seed` makes the jitter of a run repeatable; None leaves it to chance. `trace` says which messages are journalled,
    `retention` which entries the journal keeps; None keeps all of them. `control` is the socket for operators, a path
    that may be relative to the store; None opens none. A loop that does not come round for `watchdog_seconds` is
    reported with its stack; None watches nothing.
    """

    name: str
    store: str
    durability: Durability
    map_size_bytes_max: int
    seed: int | None = None
    trace: TraceScope = "orders"
    retention: Retention | None = None
    control: str | None = CONTROL_SOCKET
    watchdog_seconds: float | None = WATCHDOG_SECONDS

    @property
    def control_path(self) -> Path | None:
        """Where the control socket is; None where there is none."""
        return None if self.control is None else Path(self.store) / self.control


class AccountConfiguration(Value, frozen=True):
    """One account: the settings of its actors, how its wallet signs, and where its secrets are.

    `funder` is the wallet that holds the money; None means the one that follows from the key.
    """

    settings: AccountSettings
    credentials: CredentialsSource
    chain_id: int
    signature_type: int
    funder: str | None = None
    surplus_shares_allowed: bool = False
    """Whether an immediate purchase (IOC, FOK) may go out although at a better price it buys more shares than asked:
    the venue bounds such orders by their cash (polymarket.md 5). Without it they are refused."""


class Configuration(Value, frozen=True):
    """One checked file; `file` is its path."""

    file: str
    runtime: RuntimeConfiguration
    accounts: tuple[AccountConfiguration, ...]
    strategies: tuple[StrategySettings, ...]

    def account(self, account: AccountId) -> AccountConfiguration:
        """The configuration of one account. Raises KeyError for one that the file does not name."""
        for found in self.accounts:
            if found.settings.account == account:
                return found
        raise KeyError(account)


class ConfigurationError(Exception):
    """The file cannot be used; `problems` are all that is wrong with it, one sentence each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


# ---- what is allowed, and what is assumed -----------------------------------------------------------------

DURABILITIES: tuple[Durability, ...] = ("fsync", "process")

TRACE_SCOPES: tuple[TraceScope, ...] = ("orders", "off")

POLYMARKET = VenueName("polymarket")
POLYMARKET_SERVICES = {
    "clob": "https://clob.polymarket.com",
    "data": "https://data-api.polymarket.com",
    "gamma": "https://gamma-api.polymarket.com",
    "rpc": "https://polygon.drpc.org",
    "ws_market": "wss://ws-subscriptions-clob.polymarket.com/ws/market",
    "ws_user": "wss://ws-subscriptions-clob.polymarket.com/ws/user",
}
"""Production (polymarket.md 2)."""
POLYMARKET_CHAINS = (137, 80002)
"""Polygon, and the test chain Amoy (polymarket.md 4)."""
POLYMARKET_SETTLEMENT_ASSET = "pUSD"
POLYMARKET_DEAD_MAN_SECONDS = 10
"""Without a heartbeat for longer the venue cancels every order of the key (polymarket.md 8)."""

VENUES = (POLYMARKET,)

ON_OFF = ("on", OFF)
_KEEP_DAYS = Bounds(minimum=Decimal(0), maximum=Decimal(36_500))
_KEEP_ENTRIES = Bounds(minimum=Decimal(0), maximum=Decimal(10**12))
_SHARE = Bounds(minimum=Decimal(0), maximum=Decimal("0.5"))
_SECONDS_OR_NONE = Bounds(minimum=Decimal(0), maximum=SECONDS.maximum)
_BOUNDS: Mapping[str, Bounds] = {
    "spacing_seconds_minimum": _SECONDS_OR_NONE,
    "overlap_seconds": _SECONDS_OR_NONE,
    "stream_grace_seconds": _SECONDS_OR_NONE,
    "settle_seconds": _SECONDS_OR_NONE,
    "resend_after_seconds": _SECONDS_OR_NONE,
    "reserved_share": _SHARE,
    "read_attempts": Bounds(minimum=Decimal(1), maximum=Decimal(20)),
    "concurrency_maximum": Bounds(minimum=Decimal(1), maximum=Decimal(1000)),
}

_ANY = Bounds()
_WATCHDOG = Bounds(minimum=Decimal("0.1"), maximum=Decimal(3600))
_SIGNATURE_TYPES = Bounds(minimum=Decimal(0), maximum=Decimal(3))
"""EOA, proxy, Gnosis Safe, deposit wallet (polymarket.md 6.1). There is no default: the wrong one shows no money."""
_IN_ORDER = (
    ("reconciler", "spacing_seconds_minimum", "cadence_seconds"),
    ("stream", "backoff_seconds_minimum", "backoff_seconds_maximum"),
    ("orders", "query_backoff_seconds_minimum", "query_backoff_seconds_maximum"),
)
"""Settings (table, one, other) of which the one must not be above the other."""

_ACCOUNT = re.compile(r"([a-z0-9_]+):[A-Za-z0-9][A-Za-z0-9._-]{0,47}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_CONDITION = re.compile(r"0x[0-9a-fA-F]{64}")
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,198}[a-z0-9])?")
_PREFIX = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_CREDENTIAL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_ADDRESS_ALLOWED = "an address: 0x and 40 hexadecimal digits"
_PREFIX_ALLOWED = "a prefix of variables: capital letters, digits and underscores"
_CREDENTIAL_ALLOWED = "the name of a credential: letters, digits, dots, dashes and underscores"
_MARKETS_ALLOWED = "a list of markets, all by condition id (0x and 64 hexadecimal digits) or all by slug"


def load_configuration(path: str | Path) -> Configuration:
    """Read and check a file. Raises `ConfigurationError` with all of its problems; connects to nothing."""
    file = Path(path)
    report = Report(str(file))
    content = read_toml(file, report)
    if content is None:
        raise ConfigurationError(report.problems)
    root = Table(report, (), content)
    runtime = _runtime(root.table("runtime"), file)
    accounts = tuple(_account(name, table, file) for name, table in root.tables("accounts"))
    if not accounts and "accounts" not in {problem.key for problem in report.problems}:
        report.add(("accounts",), "nothing", 'at least one table like [accounts."polymarket:main"]')
    known = [found.settings.account for found in accounts]
    strategies = tuple(_strategy(name, table, known) for name, table in root.tables("strategies"))
    root.finish()
    if report.problems:
        raise ConfigurationError(report.problems)
    return Configuration(file=str(file), runtime=runtime, accounts=accounts, strategies=strategies)


def _runtime(table: Table, file: Path) -> RuntimeConfiguration:
    name = table.text("name", "tallystick")
    if not _NAME.fullmatch(name):
        table.refuse("name", "letters, digits, dots, dashes and underscores, at most 64")
    store = table.text("store", allowed="the path of the store's directory, relative to this file")
    found = RuntimeConfiguration(
        name=name,
        store=str(_beside(file, store)),
        durability="process" if table.choice("durability", "fsync", DURABILITIES) == "process" else "fsync",
        map_size_bytes_max=table.integer(
            "map_size_bytes_max", MAP_SIZE_BYTES_MAX, Bounds(minimum=Decimal(1 << 20), maximum=Decimal(1 << 46))
        ),
        seed=table.integer("seed", None, Bounds(minimum=Decimal(0), maximum=Decimal((1 << 63) - 1)))
        if "seed" in table
        else table.passed("seed", None),
        trace="off" if table.choice("trace", "orders", TRACE_SCOPES) == "off" else "orders",
        retention=_retention(table.table("retention")),
        control=_control(table, file),
        watchdog_seconds=_watchdog_seconds(table),
    )
    table.finish()
    return found


def _control(table: Table, file: Path) -> str | None:
    """Where operators reach the runtime: beside the store unless a path is given; None where they cannot."""
    found = table.text("control", "on", allowed=f'the path of a socket, relative to this file, "on" or "{OFF}"')
    if found in ON_OFF:
        return CONTROL_SOCKET if found == "on" else None
    return str(_beside(file, found))


def _watchdog_seconds(table: Table) -> float | None:
    if table.is_text("watchdog_seconds", OFF):
        return table.passed("watchdog_seconds", None)
    return table.number("watchdog_seconds", WATCHDOG_SECONDS, _WATCHDOG)


def _retention(table: Table) -> Retention | None:
    """What the journal keeps before its oldest entries go to archive files; None where they never do."""
    defaults = Retention()
    kept = Retention(
        keep_days=table.number("keep_days", defaults.keep_days, _KEEP_DAYS),
        keep_entries=table.integer("keep_entries", defaults.keep_entries, _KEEP_ENTRIES),
    )
    archive = table.choice("archive", "on", ON_OFF)
    table.finish()
    return kept if archive == "on" else None


def _strategy(name: str, table: Table, accounts: list[AccountId]) -> StrategySettings:
    if not _NAME.fullmatch(name):
        table.report.add(table.path, repr(name), "a name of letters, digits, dots, dashes and underscores, at most 64")
    used = table.texts("accounts", allowed="a list of this file's accounts", required=True)
    for account in used:
        if account not in accounts:
            near = difflib.get_close_matches(account, accounts, n=1)
            table.refuse(
                "accounts",
                f"among {', '.join(accounts) or 'no accounts at all'}",
                f"Did you mean {near[0]}?" if near else "",
                found=repr(account),
            )
    named = {"strategy": StrategyName(name), "accounts": tuple(AccountId(account) for account in used)}
    found = read_fields(table, StrategySettings, _BOUNDS, **named)
    table.finish()
    return found


# ---- one account ------------------------------------------------------------------------------------------


def _account(name: str, table: Table, file: Path) -> AccountConfiguration:
    settings = read_fields(
        table,
        AccountSettings,
        _BOUNDS,
        account=AccountId(name),
        venue=_venue(name, table),
        services=_services(table.table("services"), POLYMARKET_SERVICES),
        markets=_markets(table),
        settlement_asset=AssetId(table.text("settlement_asset", POLYMARKET_SETTLEMENT_ASSET)),
    )
    _check_together(settings, table)
    found = AccountConfiguration(
        settings=settings,
        credentials=_credentials(table, file),
        chain_id=table.integer("chain_id", POLYMARKET_CHAINS[0], _ANY),
        signature_type=table.integer("signature_type", None, _SIGNATURE_TYPES),
        funder=table.optional_text("funder", allowed=_ADDRESS_ALLOWED),
        surplus_shares_allowed=table.flag("surplus_shares_allowed", default=False),
    )
    if found.chain_id not in POLYMARKET_CHAINS:
        table.refuse("chain_id", " or ".join(str(chain) for chain in POLYMARKET_CHAINS))
    if found.funder is not None and not _ADDRESS.fullmatch(found.funder):
        # It may be a private key that was put in the wrong place, so its text is not repeated.
        table.refuse("funder", _ADDRESS_ALLOWED, found=f"a text of {len(found.funder)} characters")
    table.finish()
    return found


def _venue(name: str, table: Table) -> VenueName:
    """The venue of an account: the first part of its name, which the key `venue` may repeat."""
    shape = _ACCOUNT.fullmatch(name)
    if shape is None:
        table.report.add(table.path, repr(name), 'a name like "polymarket:main": the venue, a colon, your own name')
    elif shape[1] not in VENUES:
        near = difflib.get_close_matches(shape[1], VENUES, n=1)
        table.report.add(
            table.path,
            f"the venue {shape[1]!r}",
            f"one of {', '.join(VENUES)}",
            f"Did you mean {near[0]}?" if near else "",
        )
    elif table.text("venue", shape[1]) != shape[1]:
        table.refuse("venue", f"{shape[1]!r}, as in the account's name")
    table.knows("venue")
    # The rest is checked by the rules of the one venue there is, so that all problems come at once.
    return POLYMARKET


def _check_together(settings: AccountSettings, table: Table) -> None:
    """Settings that are each allowed and do not go together."""
    for part, low, high in _IN_ORDER:
        values = getattr(settings, part)
        found, other = getattr(values, low), getattr(values, high)
        if found > other:
            table.report.add((*table.path, part, low), shown(found), f"at most {high}, which is {shown(other)}")
    heartbeat = settings.gateway.heartbeat_seconds
    if heartbeat is not None and heartbeat >= POLYMARKET_DEAD_MAN_SECONDS:
        table.report.add(
            (*table.path, "gateway", "heartbeat_seconds"),
            shown(heartbeat),
            f'below {POLYMARKET_DEAD_MAN_SECONDS}, or "{OFF}"',
            f"After {POLYMARKET_DEAD_MAN_SECONDS} seconds without one the venue cancels every order of the key.",
        )


def _markets(table: Table) -> tuple[str, ...]:
    found = table.texts("markets", allowed=_MARKETS_ALLOWED, required=True)
    ids = [market for market in found if market[:2].lower() == "0x"]
    for market in found:
        if not (_CONDITION if market in ids else _SLUG).fullmatch(market):
            table.refuse("markets", _MARKETS_ALLOWED, found=shown(market))
    if 0 < len(ids) < len(found):
        table.refuse("markets", _MARKETS_ALLOWED, found=f"{len(ids)} by id and {len(found) - len(ids)} by slug")
    return found


def _services(table: Table, defaults: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    found = {name: table.text(name, default).rstrip("/") for name, default in defaults.items()}
    table.finish()
    local: dict[str, bool | None] = {
        name: _check_address(table, name, address) for name, address in found.items() if address
    }
    # A simulated venue knows nothing of the real venue's account: comparing the two would be nonsense. The chain is
    # another matter, as one may run a node of one's own beside the real venue.
    strangers = [name for name, loopback in local.items() if loopback is False]
    if local.get("clob") and strangers:
        table.report.add(
            table.path,
            f"clob on loopback, but not {', '.join(strangers)}",
            "all services on loopback (a simulated venue), or clob at the venue itself",
        )
    return tuple(found.items())


def _check_address(table: Table, name: str, address: str) -> bool | None:
    """Whether an address is on loopback; None where it is no usable address. Only its scheme and host are shown."""
    schemes = ("wss", "ws") if name.startswith("ws_") else ("https", "http")
    allowed = f"{schemes[0]}://host[:port][/path], or {schemes[1]}:// to loopback alone"
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        table.refuse(name, allowed, found=f"no address ({error})")
        return None
    seen = f"{parts.scheme}://{host or ''}" + (f":{port}" if port else "")
    if parts.scheme not in schemes or not host:
        table.refuse(name, allowed, found=repr(seen) if parts.scheme else "no address")
        return None
    if parts.username is not None or parts.password is not None:
        table.refuse(name, allowed, "An address must not hold a name or a password.", found=repr(seen))
        return None
    if parts.query or parts.fragment:
        table.refuse(name, allowed, "An address ends with its path: no ? and no #.", found=repr(seen))
        return None
    loopback = _is_loopback(host)
    if parts.scheme == schemes[1] and not loopback:
        table.refuse(name, allowed, f"Over plain {schemes[1]} everyone between could read it.", found=repr(seen))
        return None
    return loopback


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _credentials(account: Table, file: Path) -> CredentialsSource:
    table = account.table("credentials", private=True)
    table.knows("file", "environment", "systemd")
    given = [key for key in ("file", "environment", "systemd") if key in table]
    table.finish()
    if len(given) != 1:
        account.report.add(
            table.path,
            " and ".join(given) if given else "no source",
            'exactly one of { file = "…" }, { environment = "PREFIX" } and { systemd = "name" }',
        )
        return CredentialsEnvironment(prefix="")
    match given[0]:
        case "file":
            path = table.text("file", allowed="the path of a file, relative to this one")
            return CredentialsFile(path=str(_beside(file, path)))
        case "environment":
            prefix = table.text("environment", allowed=_PREFIX_ALLOWED)
            if prefix and not _PREFIX.fullmatch(prefix):
                table.refuse("environment", _PREFIX_ALLOWED)
            return CredentialsEnvironment(prefix=prefix)
        case _:
            name = table.text("systemd", allowed=_CREDENTIAL_ALLOWED)
            if name and not _CREDENTIAL_NAME.fullmatch(name):
                table.refuse("systemd", _CREDENTIAL_ALLOWED)
            return CredentialsSystemd(name=name)


def _beside(file: Path, path: str) -> Path:
    """A path as the file means it: relative to the file's own folder."""
    return Path(os.path.normpath(file.absolute().parent / Path(path).expanduser()))
