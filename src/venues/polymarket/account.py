"""The account of a dialect: whose key signs, whose wallet pays, and the credentials it logs in with."""

from ..evm.address import Address
from .contracts import POLYGON_CHAIN_ID
from .orders import SignatureType
from .signing import Signer
from .wallet_addresses import derive_wallets


class AccountRefused(ValueError):
    """The key, the wallet and the signature type do not belong together."""


class TradingAccount:
    """A signer, the wallet whose money its orders spend, and the way the venue checks the two."""

    __slots__ = ("chain_id", "signature_type", "signer", "surplus_shares_allowed", "wallet")

    def __init__(
        self,
        signer: Signer,
        *,
        wallet: Address | None = None,
        signature_type: SignatureType | None = None,
        chain_id: int = POLYGON_CHAIN_ID,
        surplus_shares_allowed: bool = False,
    ) -> None:
        """Take a signer and the wallet that holds the money; without a wallet it is the signer's own account.

        The signature type follows from the wallet's address. Where it is given too and differs, or the wallet is
        none of those that the key controls and no type is given, `AccountRefused` is raised: the venue would
        answer with a balance of zero, or with `invalid signature`.

        `surplus_shares_allowed` lets immediate buys through, which may buy more shares than were asked for when
        the price is better than the limit (see `expression`).
        """
        self.signer = signer
        self.wallet = signer.address if wallet is None else wallet
        derived = derive_wallets(signer.address).signature_type_of(self.wallet)
        if derived is None and signature_type is not SignatureType.POLY_1271:
            # A deposit wallet may have changed owners, so only that type may be stated against the derivation.
            raise AccountRefused(f"wallet {self.wallet} does not belong to the key of {signer.address}")
        if derived is not None and signature_type is not None and signature_type is not derived:
            raise AccountRefused(f"wallet {self.wallet} signs as {derived.name}, configured is {signature_type.name}")
        self.signature_type = derived or signature_type or SignatureType.EOA
        self.chain_id = chain_id
        self.surplus_shares_allowed = surplus_shares_allowed

    @property
    def order_signer(self) -> Address:
        """The address that an order names as its signer: the wallet itself for deposit wallets."""
        return self.wallet if self.signature_type is SignatureType.POLY_1271 else self.signer.address

    def __repr__(self) -> str:
        return f"TradingAccount(wallet={self.wallet}, signature_type={self.signature_type.name})"
