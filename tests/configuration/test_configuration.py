"""One file, checked whole: what it becomes, and every way in which it can be wrong."""

import copy
import pickle
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tallystick.actors.settings import AccountSettings, GatewaySettings, OpeningPolicy, ReconcilerSettings
from tallystick.configuration import POLYMARKET_SERVICES, Configuration, ConfigurationError, load_configuration
from tallystick.credentials import CredentialsEnvironment, CredentialsFile, CredentialsSystemd
from tallystick.model.identifiers import AccountId
from tallystick.model.money import Cash, Quantity
from tallystick.model.risk import RiskLimits
from tallystick.store import Retention
from tallystick.toml_table import Problem

PROJECT = Path(__file__).resolve().parents[2]
MARKET = "0x" + "5f" * 32
SECRET = "0x" + "ab" * 32

SMALLEST = f"""
[runtime]
store = "var/main"

[accounts."polymarket:main"]
signature_type = 3
markets = ["{MARKET}"]
credentials = {{ environment = "POLYMARKET" }}
"""

LOOPBACK = """
[accounts."polymarket:main".services]
clob = "http://127.0.0.1:8137"
data = "http://127.0.0.1:8137"
gamma = "http://localhost:8137/"
rpc = "http://[::1]:8137/rpc"
ws_market = "ws://127.0.0.1:8137/ws/market"
ws_user = "ws://127.0.0.1:8137/ws/user"
"""


GATEWAY_KEYS = (
    "one of clock_skew_seconds_maximum, concurrency_maximum, heartbeat_seconds, reserved_share, timeout_seconds"
)


def written(folder: Path, content: str) -> Path:
    file = folder / "tallystick.toml"
    file.write_text(content)
    return file


def loaded(folder: Path, content: str) -> Configuration:
    return load_configuration(written(folder, content))


def problems(folder: Path, content: str) -> dict[str, Problem]:
    with pytest.raises(ConfigurationError) as caught:
        loaded(folder, content)
    assert all(problem.file == str(folder / "tallystick.toml") for problem in caught.value.problems)
    return {problem.key: problem for problem in caught.value.problems}


def only_problem(folder: Path, content: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        loaded(folder, content)
    assert len(caught.value.problems) == 1, str(caught.value)
    return str(caught.value).removeprefix(f"{folder / 'tallystick.toml'}: ")


class TestAGoodFile:
    def test_the_smallest_file_stands_on_defaults(self, tmp_path: Path) -> None:
        found = loaded(tmp_path, SMALLEST)
        assert found.runtime.name == "tallystick"
        assert found.runtime.durability == "fsync"
        assert found.runtime.seed is None
        assert found.runtime.map_size_bytes_max == 64 * 2**30
        assert found.strategies == ()
        account = found.account(AccountId("polymarket:main"))
        assert account.settings == AccountSettings(
            account=AccountId("polymarket:main"),
            venue=account.settings.venue,
            services=tuple(POLYMARKET_SERVICES.items()),
            markets=(MARKET,),
            settlement_asset=account.settings.settlement_asset,
        )
        assert account.settings.settlement_asset == "pUSD"
        assert account.settings.service("clob") == "https://clob.polymarket.com"
        assert (account.chain_id, account.signature_type, account.funder) == (137, 3, None)
        assert account.credentials == CredentialsEnvironment(prefix="POLYMARKET")

    @pytest.mark.parametrize(
        ("table", "expected"),
        [
            ("", Retention(keep_days=30, keep_entries=1_000_000)),
            ("[runtime.retention]\nkeep_days = 0.5\nkeep_entries = 0", Retention(keep_days=0.5, keep_entries=0)),
            ('[runtime.retention]\narchive = "off"\nkeep_days = 3', None),
        ],
    )
    def test_says_what_the_journal_keeps(self, tmp_path: Path, table: str, expected: Retention | None) -> None:
        assert loaded(tmp_path, f"{SMALLEST}\n{table}\n").runtime.retention == expected

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("", "var/main/control.sock"),
            ('control = "on"', "var/main/control.sock"),
            ('control = "run/desk.sock"', "run/desk.sock"),
            ('control = "/run/tallystick/desk.sock"', "/run/tallystick/desk.sock"),
        ],
    )
    def test_the_control_socket_is_beside_the_store_unless_a_path_is_given(
        self, tmp_path: Path, line: str, expected: str
    ) -> None:
        content = SMALLEST.replace('store = "var/main"', f'store = "var/main"\n{line}')
        assert loaded(tmp_path, content).runtime.control_path == tmp_path / expected

    def test_control_and_watchdog_can_be_switched_off(self, tmp_path: Path) -> None:
        off = 'store = "var/main"\ncontrol = "off"\nwatchdog_seconds = "off"'
        runtime = loaded(tmp_path, SMALLEST.replace('store = "var/main"', off)).runtime
        assert runtime.control_path is None
        assert runtime.watchdog_seconds is None

    def test_every_key_reaches_its_setting(self, tmp_path: Path) -> None:
        found = loaded(
            tmp_path,
            f"""
            [runtime]
            name = "desk-1"
            store = "/srv/tallystick"
            durability = "process"
            map_size_bytes_max = 1073741824
            seed = 7

            [accounts."polymarket:main"]
            venue = "polymarket"
            chain_id = 80002
            signature_type = 0
            funder = "0x{"Ab" * 20}"
            markets = ["{MARKET}"]
            settlement_asset = "USDC"
            opening = "require_flat"
            market_data_stale_seconds = 12.5
            credentials = {{ systemd = "polymarket-main" }}

            [accounts."polymarket:main".reconciler]
            cadence_seconds = 30
            overlap_seconds = 0
            [accounts."polymarket:main".risk]
            order_notional_maximum = "25.5"
            position_quantity_maximum = 0
            active_intents_per_strategy_maximum = 3
            [accounts."polymarket:main".gateway]
            heartbeat_seconds = "off"
            reserved_share = 0.1

            [strategies.weather]
            accounts = ["polymarket:main"]
            active_intents_maximum = 4
            notional_maximum = 100.10
            """,
        )
        account = found.accounts[0]
        assert (found.runtime.name, found.runtime.store, found.runtime.seed) == ("desk-1", "/srv/tallystick", 7)
        assert (found.runtime.durability, found.runtime.map_size_bytes_max) == ("process", 2**30)
        assert account.settings.opening is OpeningPolicy.REQUIRE_FLAT
        assert account.settings.market_data_stale_seconds == 12.5
        assert account.settings.settlement_asset == "USDC"
        assert account.settings.reconciler == ReconcilerSettings(cadence_seconds=30, overlap_seconds=0)
        assert account.settings.gateway == GatewaySettings(heartbeat_seconds=None, reserved_share=0.1)
        assert account.settings.risk == RiskLimits(
            order_notional_maximum=Cash(Decimal("25.5")),
            position_quantity_maximum=Quantity(Decimal(0)),
            active_intents_per_strategy_maximum=3,
        )
        assert (account.chain_id, account.signature_type, account.funder) == (80002, 0, "0x" + "Ab" * 20)
        assert account.credentials == CredentialsSystemd(name="polymarket-main")
        strategy = found.strategies[0]
        assert (strategy.strategy, strategy.accounts) == ("weather", ("polymarket:main",))
        assert strategy.active_intents_maximum == 4
        assert strategy.notional_maximum == Decimal("100.10")
        assert str(strategy.notional_maximum) == "100.10"  # never through a float

    def test_paths_are_relative_to_the_file_and_not_to_the_process(self, tmp_path: Path) -> None:
        folder = tmp_path / "config"
        folder.mkdir()
        content = SMALLEST.replace('"var/main"', '"../var/main"').replace(
            'environment = "POLYMARKET"', 'file = "keys/main.toml"'
        )
        found = loaded(folder, content)
        assert found.runtime.store == str(tmp_path / "var/main")
        assert found.accounts[0].credentials == CredentialsFile(path=str(folder / "keys/main.toml"))

    def test_plain_addresses_are_allowed_to_loopback(self, tmp_path: Path) -> None:
        settings = loaded(tmp_path, SMALLEST + LOOPBACK).accounts[0].settings
        assert settings.service("rpc") == "http://[::1]:8137/rpc"
        assert settings.service("gamma") == "http://localhost:8137"  # a closing slash would double in paths

    def test_a_chain_node_of_ones_own_may_stand_beside_the_real_venue(self, tmp_path: Path) -> None:
        content = SMALLEST + '[accounts."polymarket:main".services]\nrpc = "http://127.0.0.1:8545"\n'
        assert loaded(tmp_path, content).accounts[0].settings.service("rpc") == "http://127.0.0.1:8545"

    def test_what_was_loaded_is_a_plain_value(self, tmp_path: Path) -> None:
        found = loaded(tmp_path, SMALLEST)
        assert pickle.loads(pickle.dumps(found)) == copy.copy(found) == found

    @pytest.mark.parametrize("name", ["demo.toml", "polymarket.toml"])
    def test_the_examples_are_valid(self, name: str) -> None:
        found = load_configuration(PROJECT / "config" / name)
        assert found.accounts
        assert found.strategies


class TestProblems:
    def test_all_come_at_once_with_file_key_found_and_allowed(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError) as caught:
            loaded(
                tmp_path,
                f"""
                [runtime]
                sede = 3
                durability = "fsnc"
                [accounts."polymarket:main"]
                signature_type = 7
                markets = ["{MARKET}"]
                credentials = {{ environment = "POLYMARKET" }}
                [accounts."polymarket:main".reconciler]
                cadence_seconds = -1
                """,
            )
        runtime_keys = "control, durability, map_size_bytes_max, name, retention, seed, store, trace, watchdog_seconds"
        account = 'accounts."polymarket:main"'
        assert str(caught.value).replace(f"{tmp_path}/tallystick.toml: ", "").splitlines() == [
            "runtime.store: found nothing; allowed is the path of the store's directory, relative to this file",
            "runtime.durability: found 'fsnc'; allowed is one of fsync, process. Did you mean fsync?",
            f"runtime.sede: found an unknown key; allowed is one of {runtime_keys}. Did you mean seed?",
            f"{account}.reconciler.cadence_seconds: found -1; allowed is a number, above 0 up to 86400",
            f"{account}.signature_type: found 7; allowed is a whole number, from 0 to 3",
        ]

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"absent\.toml: found no file; allowed is a readable TOML file"):
            load_configuration(tmp_path / "absent.toml")

    def test_a_directory_is_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="cannot be read"):
            load_configuration(tmp_path)

    def test_bad_syntax_names_its_line(self, tmp_path: Path) -> None:
        assert "line 2" in only_problem(tmp_path, "[runtime]\nstore = \n")

    def test_other_encodings_are_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "latin.toml"
        file.write_bytes("# é".encode("latin-1"))
        with pytest.raises(ConfigurationError, match="not UTF-8"):
            load_configuration(file)

    def test_an_empty_file_lacks_everything(self, tmp_path: Path) -> None:
        assert set(problems(tmp_path, "")) == {"runtime.store", "accounts"}

    @pytest.mark.parametrize(
        ("line", "key", "allowed"),
        [
            ("heartbeat_seconds = 12", "gateway.heartbeat_seconds", 'below 10, or "off"'),
            ("reserved_share = 0.9", "gateway.reserved_share", "a number, from 0 to 0.5"),
            ("reserved_share = nan", "gateway.reserved_share", "a finite number, from 0 to 0.5"),
            ('timeout_seconds = "ten"', "gateway.timeout_seconds", "a number, above 0 up to 86400"),
            ("timeout_seconds = true", "gateway.timeout_seconds", "a number, above 0 up to 86400"),
            ("timeout_seconds = 10000000", "gateway.timeout_seconds", "a number, above 0 up to 86400"),
            ("concurrency_maximum = 1.5", "gateway.concurrency_maximum", "a whole number, from 1 to 1000"),
            (
                "timeout_secs = 3",
                "gateway.timeout_secs",
                GATEWAY_KEYS,
            ),
        ],
    )
    def test_a_setting_has_a_type_and_bounds(self, tmp_path: Path, line: str, key: str, allowed: str) -> None:
        found = problems(tmp_path, SMALLEST + f'[accounts."polymarket:main".gateway]\n{line}\n')
        assert [(name, problem.allowed) for name, problem in found.items()] == [
            (f'accounts."polymarket:main".{key}', allowed)
        ]

    def test_a_minimum_is_not_above_its_maximum(self, tmp_path: Path) -> None:
        content = SMALLEST + '[accounts."polymarket:main".stream]\nbackoff_seconds_minimum = 100\n'
        assert only_problem(tmp_path, content) == (
            'accounts."polymarket:main".stream.backoff_seconds_minimum: found 100; '
            "allowed is at most backoff_seconds_maximum, which is 60"
        )

    @pytest.mark.parametrize(
        ("address", "said"),
        [
            ("http://clob.polymarket.com", "Over plain http everyone between could read it."),
            ("ftp://127.0.0.1", "https://host[:port][/path], or http:// to loopback alone"),
            ("clob.polymarket.com", "found no address"),
            ("https://", "https://host[:port][/path]"),
            ("https://[::1", "found no address"),
            ("https://host:99999", "found no address"),
            ("https://key:pw@host", "must not hold a name or a password"),
            ("https://host/?apikey=hidden", "no ? and no #"),
            ("wss://host", "https://host[:port][/path]"),
        ],
    )
    def test_addresses_are_checked_and_only_scheme_and_host_are_shown(
        self, tmp_path: Path, address: str, said: str
    ) -> None:
        text = only_problem(tmp_path, SMALLEST + f'[accounts."polymarket:main".services]\nclob = "{address}"\n')
        assert text.startswith('accounts."polymarket:main".services.clob: found ')
        assert said in text
        assert "pw" not in text
        assert "hidden" not in text

    def test_a_simulated_venue_is_not_mixed_with_the_real_one(self, tmp_path: Path) -> None:
        content = SMALLEST + '[accounts."polymarket:main".services]\nclob = "http://127.0.0.1:8137"\n'
        assert only_problem(tmp_path, content) == (
            'accounts."polymarket:main".services: found clob on loopback, but not data, gamma, rpc, ws_market, ws_user'
            "; allowed is all services on loopback (a simulated venue), or clob at the venue itself"
        )

    @pytest.mark.parametrize(
        ("name", "found"),
        [("main", "'main'"), ("polymarkt:main", "the venue 'polymarkt'"), ("polymarket:a/b", "'polymarket:a/b'")],
    )
    def test_an_account_is_named_by_its_venue(self, tmp_path: Path, name: str, found: str) -> None:
        text = only_problem(tmp_path, SMALLEST.replace("polymarket:main", name))
        assert f"found {found}; allowed is " in text

    def test_the_venue_may_be_repeated_but_not_changed(self, tmp_path: Path) -> None:
        content = SMALLEST.replace("signature_type", 'venue = "kraken"\nsignature_type')
        assert only_problem(tmp_path, content).endswith(
            "found 'kraken'; allowed is 'polymarket', as in the account's name"
        )

    def test_markets_may_be_named_by_slug(self, tmp_path: Path) -> None:
        content = SMALLEST.replace(MARKET, "will-it-rain-in-lisbon")
        assert loaded(tmp_path, content).accounts[0].settings.markets == ("will-it-rain-in-lisbon",)

    @pytest.mark.parametrize(
        "markets",
        [
            "[]",
            '"0x12"',
            '["0x12"]',
            "[3]",
            '[""]',
            f'["{MARKET}", "{MARKET}"]',
            f'["{MARKET}", "will-it-rain"]',
            '["Will it rain?"]',
            '["rain", "https://polymarket.com/event/rain"]',
        ],
    )
    def test_markets_are_different_and_named_in_one_way(self, tmp_path: Path, markets: str) -> None:
        content = SMALLEST.replace(f'["{MARKET}"]', markets)
        assert only_problem(tmp_path, content).startswith('accounts."polymarket:main".markets: found ')

    def test_a_chain_must_be_known(self, tmp_path: Path) -> None:
        content = SMALLEST.replace("signature_type", "chain_id = 1\nsignature_type")
        assert only_problem(tmp_path, content).endswith("found 1; allowed is 137 or 80002")

    def test_a_strategy_uses_accounts_of_the_file(self, tmp_path: Path) -> None:
        content = SMALLEST + '[strategies.weather]\naccounts = ["polymarket:mian"]\n'
        assert only_problem(tmp_path, content) == (
            "strategies.weather.accounts: found 'polymarket:mian'; allowed is among polymarket:main. "
            "Did you mean polymarket:main?"
        )

    @pytest.mark.parametrize("amount", ["-1", '"1e400"', "nan", '"much"', "true"])
    def test_an_amount_is_an_exact_number_and_not_negative(self, tmp_path: Path, amount: str) -> None:
        content = SMALLEST + f'[strategies.weather]\naccounts = ["polymarket:main"]\nnotional_maximum = {amount}\n'
        assert only_problem(tmp_path, content).startswith("strategies.weather.notional_maximum: found ")


class TestSecretsInTheWrongPlace:
    @pytest.mark.parametrize(
        "content",
        [
            SMALLEST.replace('environment = "POLYMARKET"', f'private_key = "{SECRET}"'),
            SMALLEST.replace('environment = "POLYMARKET"', f'environment = "{SECRET}"'),
            SMALLEST.replace('environment = "POLYMARKET"', f'systemd = "/{SECRET}"'),
            SMALLEST.replace('environment = "POLYMARKET"', f'file = ["{SECRET}"]'),
            SMALLEST.replace("signature_type", f'private_key = "{SECRET}"\nsignature_type'),
            SMALLEST.replace("signature_type", f'funder = "{SECRET}"\nsignature_type'),
            SMALLEST.replace('{ environment = "POLYMARKET" }', f'"{SECRET}"'),
        ],
    )
    def test_are_refused_and_not_repeated(self, tmp_path: Path, content: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            loaded(tmp_path, content)
        assert SECRET[:20] not in str(caught.value)
        assert SECRET[:20] not in repr(caught.value.problems)

    def test_a_secret_key_is_told_where_it_does_not_belong(self, tmp_path: Path) -> None:
        content = SMALLEST.replace("signature_type", f'private_key = "{SECRET}"\nsignature_type')
        assert only_problem(tmp_path, content).endswith("Secrets do not belong into this file.")

    @pytest.mark.parametrize("source", ["", 'file = "a", environment = "B"'])
    def test_exactly_one_source_is_named(self, tmp_path: Path, source: str) -> None:
        text = only_problem(tmp_path, SMALLEST.replace('environment = "POLYMARKET"', source))
        assert 'allowed is exactly one of { file = "…" }' in text


JUNK = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
        st.floats(allow_nan=True),
    ),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


def toml_value(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return (
                '"' + "".join(f"\\U{ord(letter):08x}" for letter in value if not "\ud800" <= letter <= "\udfff") + '"'
            )
        case list():
            return "[" + ", ".join(toml_value(item) for item in value) + "]"
        case _:
            return repr(value).replace("e+", "e")


KEYS = st.sampled_from(
    [
        "venue",
        "chain_id",
        "signature_type",
        "funder",
        "markets",
        "opening",
        "credentials",
        "services",
        "gateway",
        "risk",
        "settlement_asset",
        "market_data_stale_seconds",
        "nonsense",
    ]
)


@given(st.dictionaries(KEYS, JUNK, max_size=5))
def test_any_value_of_any_key_is_taken_or_refused_and_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, object]
) -> None:
    lines = "\n".join(f"{key} = {toml_value(value)}" for key, value in values.items())
    folder = tmp_path_factory.getbasetemp()
    file = folder / "junk.toml"
    file.write_text(f'[runtime]\nstore = "s"\n[accounts."polymarket:main"]\n{lines}\n')
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(file)
    assert caught.value.problems
