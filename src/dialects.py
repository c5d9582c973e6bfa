"""Which dialect speaks for which account: the one place where venue names meet venue code."""

from .configuration import AccountConfiguration
from .credentials import CredentialsUnusable, Secrets
from .venues.evm.address import HexRefused, parse_address
from .venues.polymarket.account import AccountRefused, TradingAccount
from .venues.polymarket.auth import Credentials, CredentialsRefused
from .venues.polymarket.dialect import PolymarketDialect
from .venues.polymarket.orders import SignatureType
from .venues.polymarket.signing import KeyRefused, Signer
from .venues.port import Dialect


def make_dialect(account: AccountConfiguration, secrets: Secrets) -> Dialect:
    """The account's dialect with its keys inside. Raises `CredentialsUnusable`, which never repeats a secret."""
    settings = account.settings
    try:
        api = secrets.api
        return PolymarketDialect(
            settings.account,
            TradingAccount(
                Signer(secrets.private_key.reveal()),
                wallet=None if account.funder is None else parse_address(account.funder),
                signature_type=SignatureType(account.signature_type),
                chain_id=account.chain_id,
            ),
            credentials=None
            if api is None
            else Credentials(api_key=api.key.reveal(), secret=api.secret.reveal(), passphrase=api.passphrase.reveal()),
        )
    except (KeyRefused, AccountRefused, CredentialsRefused, HexRefused) as refused:
        raise CredentialsUnusable(f"account {settings.account}: {refused}") from None
