"""Wallets and their owners: derived, registered by hand, or of the background participants that make a market.

A wallet is funded when the simulator was told to fund newcomers: the owner's plain account when it makes its first
key, any other wallet of the owner when a request first names it.
"""

from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Literal

from ...evm.address import Address, checksum_address, keccak256
from ...polymarket.contracts import (
    CONDITIONAL_TOKENS,
    POLYGON_CHAIN_ID,
    POSITION_MANAGER,
    PUSD,
    Exchange,
    TokenId,
    exchange_contract,
)
from ...polymarket.orders import SignatureType
from ...polymarket.wallet_addresses import derive_wallets
from ..chain.effects import (
    UNLIMITED,
    ZERO_ADDRESS,
    CashApproved,
    CashMoves,
    Effect,
    SharesApproved,
    SharesMove,
    Transaction,
)
from ..core.values import AssetId
from .funds import token_contract
from .history import Activity, ActivityKind
from .markets import Market
from .numbers import to_units

if TYPE_CHECKING:
    from .venue import Venue

WalletKind = Literal["eoa", "proxy", "safe", "deposit", "deposit_uups"]

SPENDERS = tuple(exchange_contract(exchange, POLYGON_CHAIN_ID).address for exchange in Exchange)
APPROVED_CONTRACTS = (CONDITIONAL_TOKENS, POSITION_MANAGER)
_BACKGROUND_CASH = Decimal(10_000_000)
_BACKGROUND_SHARES = Decimal(1_000_000)


class Wallets:
    """Who owns which wallet, and how money gets into the simulation."""

    def __init__(self, venue: "Venue") -> None:
        self._venue = venue
        self._owners: dict[Address, Address] = {}
        self._kinds: dict[tuple[Address, SignatureType], Address] = {}
        self._background: dict[str, Address] = {}
        self._background_addresses: set[Address] = set()
        self._stocked: set[tuple[Address, TokenId]] = set()
        self._used: set[Address] = set()
        self._numbers = count(1)

    def owner_of(self, wallet: Address) -> Address | None:
        """The owner of a wallet that was registered or used; None when it can only be derived."""
        return self._owners.get(wallet)

    def is_deployed(self, address: Address) -> bool:
        """True for a contract wallet in use."""
        return address in self._used and self._owners.get(address) != address

    def is_background(self, owner: Address) -> bool:
        return owner in self._background_addresses

    def wallet(self, owner: Address, signature_type: SignatureType) -> Address:
        """The wallet whose balance a query with a signature type means."""
        registered = self._kinds.get((owner, signature_type))
        if registered is not None:
            return registered
        derived = derive_wallets(owner)
        if signature_type is SignatureType.POLY_1271:
            return derived.deposit_uups if derived.deposit_uups in self._used else derived.deposit_beacon
        return {
            SignatureType.EOA: derived.owner,
            SignatureType.POLY_PROXY: derived.proxy,
            SignatureType.POLY_GNOSIS_SAFE: derived.safe,
        }[signature_type]

    def derived(self, owner: Address, kind: WalletKind) -> Address:
        wallets = derive_wallets(owner)
        return {
            "eoa": wallets.owner,
            "proxy": wallets.proxy,
            "safe": wallets.safe,
            "deposit": wallets.deposit_beacon,
            "deposit_uups": wallets.deposit_uups,
        }[kind]

    def register(self, owner: Address, wallet: Address, signature_type: SignatureType) -> None:
        """Make a wallet the one that an owner's requests of a signature type mean."""
        self._owners[wallet] = owner
        self._kinds[owner, signature_type] = wallet
        self._used.add(wallet)

    def use(self, owner: Address, wallet: Address) -> None:
        """Take note that a proven request named a wallet; it is funded at its first use if newcomers are."""
        if wallet in self._used:
            return
        self._used.add(wallet)
        self._owners.setdefault(wallet, owner)
        if self._venue.settings.fund is not None:
            self.fund(wallet, self._venue.settings.fund)

    def fund(
        self,
        wallet: Address,
        cash: Decimal,
        shares: tuple[tuple[Market, TokenId, Decimal], ...] = (),
        *,
        approved: bool = True,
    ) -> None:
        """Give a wallet cash and shares out of nothing, in the head block, and let the exchanges spend them."""
        self._used.add(wallet)
        effects: list[Effect] = list(approvals(wallet)) if approved else []
        if cash:
            effects.append(CashMoves(token=PUSD, source=ZERO_ADDRESS, target=wallet, amount=to_units(cash)))
        for _, token_id, amount in shares:
            effects.append(mint(wallet, token_id, amount))
        transaction = self.transaction(wallet, tuple(effects))
        self._venue.include(transaction)
        rows: list[Activity] = []
        if cash:
            rows.append(self._row(ActivityKind.DEPOSIT, wallet, transaction, cash=cash))
        for market, token_id, amount in shares:
            row = self._row(ActivityKind.TRANSFER, wallet, transaction, market=market, shares=((token_id, amount),))
            rows.append(row)
        self._venue.history.add(rows)

    def background(self, name: str, market: Market) -> Address:
        """The wallet of a background participant, rich in cash and in both outcomes of the market."""
        wallet = self._background.get(name)
        if wallet is None:
            wallet = checksum_address(keccak256(f"participant {name}".encode())[12:])
            self._background[name] = wallet
            self._background_addresses.add(wallet)
            self._owners[wallet] = wallet
            self.fund(wallet, _BACKGROUND_CASH)
        missing = [token_id for token_id in market.token_ids if (wallet, token_id) not in self._stocked]
        if missing:
            self._stocked.update((wallet, token_id) for token_id in missing)
            self.fund(
                wallet,
                Decimal(0),
                tuple((market, token_id, _BACKGROUND_SHARES) for token_id in missing),
                approved=False,
            )
        return wallet

    def transaction(self, sender: Address, effects: tuple[Effect, ...]) -> Transaction:
        number = next(self._numbers)
        return Transaction(
            transaction_hash="0x" + keccak256(f"transaction {number}".encode()).hex(),
            sender=sender,
            target=effects[0].token if effects else PUSD,
            effects=effects,
        )

    def _row(
        self,
        kind: ActivityKind,
        wallet: Address,
        transaction: Transaction,
        *,
        cash: Decimal = Decimal(0),
        market: Market | None = None,
        shares: tuple[tuple[TokenId, Decimal], ...] = (),
    ) -> Activity:
        return Activity(
            kind=kind,
            wallet=wallet,
            at_ms=self._venue.now_ms,
            transaction_hash=transaction.transaction_hash,
            cash=cash,
            market=market,
            shares=shares,
        )

    def balances(self) -> dict[Address, dict[str, Decimal]]:
        """What every known wallet holds at the head, assets it does not hold left out."""
        assets = [AssetId("pUSD"), *(AssetId(t) for m in self._venue.catalogue.all() for t in m.token_ids)]
        held = {
            wallet: {asset: self._venue.funds.balance(wallet, asset) for asset in assets} for wallet in self._owners
        }
        return {wallet: {a: b for a, b in holdings.items() if b} for wallet, holdings in held.items()}

    def owners(self) -> dict[Address, Address]:
        """Every known wallet with its owner."""
        return dict(self._owners)


def approvals(wallet: Address) -> tuple[Effect, ...]:
    """Let every exchange spend a wallet's pUSD and outcome tokens without limit."""
    cash = [CashApproved(token=PUSD, owner=wallet, spender=spender, amount=UNLIMITED) for spender in SPENDERS]
    shares = [
        SharesApproved(token=token, owner=wallet, operator=spender, approved=True)
        for token in APPROVED_CONTRACTS
        for spender in SPENDERS
    ]
    return (*cash, *shares)


def mint(wallet: Address, token_id: TokenId, amount: Decimal) -> SharesMove:
    """Outcome tokens out of nothing."""
    return SharesMove(
        token=token_contract(token_id),
        operator=wallet,
        source=ZERO_ADDRESS,
        target=wallet,
        token_id=int(token_id),
        amount=to_units(amount),
    )
