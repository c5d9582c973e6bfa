"""The wallets that an owner's key controls, derived with CREATE2 (polymarket.md section 4, evm.md section 14).

An address can be computed before its wallet is deployed, and can already hold tokens then.
"""

from ...model.value import Value
from ..evm.address import Address, address_bytes, checksum_address, keccak256
from ..evm.words import address_word
from .contracts import (
    DEPOSIT_WALLET_BEACON,
    DEPOSIT_WALLET_FACTORY,
    DEPOSIT_WALLET_IMPLEMENTATION,
    PROXY_FACTORY,
    PROXY_IMPLEMENTATION,
    SAFE_FACTORY,
    SAFE_INIT_CODE_HASH,
)
from .orders import SignatureType

# Deployed creation code, cut where an address or the constructor arguments are inserted.
_PROXY_HEAD = bytes.fromhex("3d3d606380380380913d393d73")
_PROXY_MIDDLE = bytes.fromhex("5af4602a57600080fd5b602d8060366000396000f3363d3d373d3d3d363d73")
_PROXY_TAIL = bytes.fromhex("5af43d82803e903d91602b57fd5bf352e831dd" + f"{0x20:064x}" + f"{0:064x}")
_UUPS_HEAD = 0x61003D3D8160233D3973
_UUPS_TAIL = bytes.fromhex(
    "60095155f3363d3d373d3d363d7f360894a13ba1a3210667c828492db98dca3e2076"
    "cc3735a920a3ca505d382bbc545af43d6000803e6038573d6000fd5b3d6000f3"
)
_BEACON_HEAD = 0x6100523D8160233D3973
_BEACON_TAIL = bytes.fromhex(
    "60195155f3363d3d373d3d363d602036600436635c60da"
    "1b60e01b36527fa3f0ad74e5423aebfd80d3ef4346578335a9a72aeaee59ff6c"
    "b3582b35133d50545afa5036515af43d6000803e604d573d6000fd5b3d6000f3"
)


class WalletAddresses(Value, frozen=True):
    """Every address at which one owner may hold cash and tokens. Exactly one of them is an account's wallet;
    a balance at another is reported, never added up silently.
    """

    owner: Address
    proxy: Address
    safe: Address
    deposit_beacon: Address
    """The form of deposit wallet that new accounts get."""
    deposit_uups: Address
    """The older form of deposit wallet."""

    def signature_type_of(self, wallet: Address) -> SignatureType | None:
        """Return how orders of `wallet` are signed, or None when this owner does not control it.

        A wrong signature type shows a balance of zero (polymarket.md section 16, trap 3).
        """
        return {
            self.owner: SignatureType.EOA,
            self.proxy: SignatureType.POLY_PROXY,
            self.safe: SignatureType.POLY_GNOSIS_SAFE,
            self.deposit_beacon: SignatureType.POLY_1271,
            self.deposit_uups: SignatureType.POLY_1271,
        }.get(wallet)


def derive_wallets(owner: Address) -> WalletAddresses:
    """Return the wallets that belong to the key of `owner`."""
    deposit_arguments = address_word(DEPOSIT_WALLET_FACTORY) + address_word(owner)
    deposit_salt = keccak256(deposit_arguments)
    proxy_code = (
        _PROXY_HEAD + address_bytes(PROXY_FACTORY) + _PROXY_MIDDLE + address_bytes(PROXY_IMPLEMENTATION) + _PROXY_TAIL
    )
    beacon_code = _deposit_code(_BEACON_HEAD, DEPOSIT_WALLET_BEACON, _BEACON_TAIL, deposit_arguments)
    uups_code = _deposit_code(_UUPS_HEAD, DEPOSIT_WALLET_IMPLEMENTATION, _UUPS_TAIL, deposit_arguments)
    return WalletAddresses(
        owner=owner,
        proxy=_create2(PROXY_FACTORY, keccak256(address_bytes(owner)), keccak256(proxy_code)),
        safe=_create2(SAFE_FACTORY, keccak256(address_word(owner)), SAFE_INIT_CODE_HASH),
        deposit_beacon=_create2(DEPOSIT_WALLET_FACTORY, deposit_salt, keccak256(beacon_code)),
        deposit_uups=_create2(DEPOSIT_WALLET_FACTORY, deposit_salt, keccak256(uups_code)),
    )


def _deposit_code(head: int, target: Address, tail: bytes, arguments: bytes) -> bytes:
    # The length of the arguments is part of the second opcode's operand.
    return (head + (len(arguments) << 56)).to_bytes(10, "big") + address_bytes(target) + tail + arguments


def _create2(factory: Address, salt: bytes, code_hash: bytes) -> Address:
    return checksum_address(keccak256(b"\xff" + address_bytes(factory) + salt + code_hash)[12:])
