"""Which dialect speaks for which account: the one place where venue names meet venue code."""

from .configuration import AccountConfiguration
from .credentials import CredentialsUnusable, Secrets
from .venues.evm.address import Address, HexRefused, parse_address
from .venues.polymarket.account import AccountRefused, TradingAccount
from .venues.polymarket.auth import Credentials, CredentialsRefused
from .venues.polymarket.dialect import PolymarketDialect
from .venues.polymarket.orders import SignatureType
from .venues.polymarket.signing import KeyRefused, Signer
from .venues.polymarket.wallet_addresses import derive_wallets
from .venues.port import Dialect


def make_dialect(account: AccountConfiguration, secrets: Secrets) -> Dialect:
    """The account's dialect with its keys inside. Raises `CredentialsUnusable`, which never repeats a secret."""
    settings = account.settings
    try:
        api = secrets.api
        signer = Signer(secrets.private_key.reveal())
        return PolymarketDialect(
            settings.account,
            TradingAccount(
                signer,
                wallet=_wallet(account, signer),
                signature_type=SignatureType(account.signature_type),
                chain_id=account.chain_id,
                surplus_shares_allowed=account.surplus_shares_allowed,
            ),
            credentials=None
            if api is None
            else Credentials(api_key=api.key.reveal(), secret=api.secret.reveal(), passphrase=api.passphrase.reveal()),
        )
    except (KeyRefused, AccountRefused, CredentialsRefused, HexRefused) as refused:
        raise CredentialsUnusable(f"account {settings.account}: {refused}") from None


def _wallet(account: AccountConfiguration, signer: Signer) -> Address:
    """The wallet that holds the money: the one configured, or the one that follows from the key where it is certain."""
    if account.funder is not None:
        wallet = parse_address(account.funder)
        if int(wallet, 16) == 0:
            raise AccountRefused(
                "funder is the zero address, which is nobody's wallet; allowed is the wallet that holds the money, as "
                "the venue shows it for deposits"
            )
        return wallet
    wallets = derive_wallets(signer.address)
    match SignatureType(account.signature_type):
        case SignatureType.EOA:
            return signer.address
        case SignatureType.POLY_PROXY:
            return wallets.proxy
        case SignatureType.POLY_GNOSIS_SAFE:
            return wallets.safe
        case SignatureType.POLY_1271:
            # There are two forms of deposit wallets, and only the chain knows which one this owner has.
            raise AccountRefused(
                f"signature_type 3 needs funder: the deposit wallet is {wallets.deposit_beacon} (current form) or "
                f"{wallets.deposit_uups} (older form)"
            )
