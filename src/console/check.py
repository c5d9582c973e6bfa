"""`tallystick check`: whether a configuration and its credentials would do, without connecting to anything."""

from pathlib import Path
from typing import Annotated

import typer

from ..configuration import load_configuration
from ..credentials import load_secrets
from ..dialects import make_dialect
from .output import Screen, View, print_json
from .reading import JsonOption

EXAMPLES = """\b
Examples:
  tallystick check config/polymarket.toml
  tallystick check config/polymarket.toml --without-credentials
"""


class CheckedAccount(View, frozen=True):
    account: str
    markets: int
    credentials: str


class CheckView(View, frozen=True):
    configuration: str
    store: str
    accounts: tuple[CheckedAccount, ...]
    strategies: tuple[str, ...]


def check(
    configuration: Annotated[Path, typer.Argument(help="The configuration file.", show_default=False)],
    *,
    without_credentials: Annotated[
        bool, typer.Option("--without-credentials", help="Check the file alone, on a machine that has no keys.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check a configuration file and load its credentials; connects to nothing and opens no store."""
    loaded = load_configuration(configuration)
    accounts: list[CheckedAccount] = []
    for account in loaded.accounts:
        said = "not looked at"
        if not without_credentials:
            secrets = load_secrets(account.credentials)
            make_dialect(account, secrets)  # refuses a key that is none, and what does not go together
            said = "a private key" if secrets.api is None else "a private key and an API key"
        settings = account.settings
        accounts.append(CheckedAccount(account=settings.account, markets=len(settings.markets), credentials=said))
    found = CheckView(
        configuration=loaded.file,
        store=loaded.runtime.store,
        accounts=tuple(accounts),
        strategies=tuple(strategy.strategy for strategy in loaded.strategies),
    )
    if as_json:
        print_json(found)
        return
    screen = Screen()
    screen.line(f"{found.configuration} is valid")
    screen.fields([("store", found.store), ("strategies", ", ".join(found.strategies) or "none")])
    screen.table(
        ("account", "#markets", "credentials"),
        [(row.account, str(row.markets), row.credentials) for row in found.accounts],
        empty="no accounts",
    )


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check", epilog=EXAMPLES)(check)
