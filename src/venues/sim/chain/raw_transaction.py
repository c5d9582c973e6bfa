"""Reads signed Ethereum transactions (legacy and EIP-1559) far enough to carry out token calls."""

import msgspec
from coincurve import PublicKey

from ...evm.address import Address, checksum_address, keccak256
from ...evm.words import decode_address, selector, uint_word
from .effects import ZERO_ADDRESS, CashApproved, CashMoves, Effect, SharesApproved, SharesMove, Transaction

_APPROVE = selector("approve(address,uint256)")
_TRANSFER = selector("transfer(address,uint256)")
_SET_APPROVAL_FOR_ALL = selector("setApprovalForAll(address,bool)")
_SAFE_TRANSFER_FROM = selector("safeTransferFrom(address,address,uint256,uint256,bytes)")


class RawTransactionRefused(ValueError):
    """The bytes are not a signed transaction for this chain, or call what the simulated chain does not know."""


class _Item(msgspec.Struct, frozen=True):
    """An RLP item: its bytes as encoded, which a signature covers, and its content."""

    encoding: bytes
    content: bytes

    @property
    def number(self) -> int:
        """The item as an integer, which is written without leading zeros."""
        if self.text[:1] == b"\x00":
            raise RawTransactionRefused("an integer is written with leading zeros")
        return _number(self.content)

    @property
    def text(self) -> bytes:
        """The item as a byte string, which a list is not."""
        if self.encoding[0] >= 0xC0:
            raise RawTransactionRefused("a list stands where a value was expected")
        return self.content


class _Fields(msgspec.Struct, frozen=True):
    nonce: int
    target: bytes
    data: bytes
    digest: bytes
    signature: bytes


class SentTransaction(msgspec.Struct, frozen=True, kw_only=True):
    """A decoded transaction with its sender's nonce."""

    transaction: Transaction
    nonce: int


def read_raw_transaction(raw: bytes, chain_id: int) -> SentTransaction:
    """Decode and authenticate a signed transaction; raises `RawTransactionRefused` saying what was wrong."""
    try:
        fields = _read_fields(raw, chain_id)
        public_key = PublicKey.from_signature_and_message(fields.signature, fields.digest, hasher=None)
        sender = checksum_address(keccak256(public_key.format(compressed=False)[1:])[12:])
        target = checksum_address(fields.target) if len(fields.target) == 20 else ZERO_ADDRESS
        effects = _effects(sender, target, fields.data)
    except RawTransactionRefused:
        raise
    except Exception as error:
        raise RawTransactionRefused(f"not a signed transaction: {error}") from error
    return SentTransaction(
        transaction=Transaction(
            transaction_hash="0x" + keccak256(raw).hex(),
            sender=sender,
            target=target,
            effects=effects,
        ),
        nonce=fields.nonce,
    )


def _read_fields(raw: bytes, chain_id: int) -> _Fields:
    if raw[:1] == b"\x02":
        items = _rlp_list(raw[1:])
        if len(items) != 12:
            raise RawTransactionRefused(f"an EIP-1559 transaction has 12 fields, got {len(items)}")
        signed_chain, recovery, r, s = (items[place].number for place in (0, 9, 10, 11))
        nonce, target, data = items[1].number, items[5].text, items[7].text
        digest = keccak256(b"\x02" + _as_list([item.encoding for item in items[:9]]))
    elif raw[:1] >= b"\xc0":
        items = _rlp_list(raw)
        if len(items) != 9:
            raise RawTransactionRefused(f"a legacy transaction has 9 fields, got {len(items)}")
        v, r, s = (items[place].number for place in (6, 7, 8))
        if v < 35:
            raise RawTransactionRefused("a legacy transaction must name its chain (EIP-155)")
        signed_chain, recovery = (v - 35) // 2, (v - 35) % 2
        nonce, target, data = items[0].number, items[3].text, items[5].text
        chain = _as_string(_minimal(signed_chain))
        digest = keccak256(_as_list([*(item.encoding for item in items[:6]), chain, b"\x80", b"\x80"]))
    else:
        raise RawTransactionRefused(f"unknown transaction type {raw[:1].hex() or 'of no bytes'}")
    if signed_chain != chain_id:
        raise RawTransactionRefused(f"invalid sender: signed for chain {signed_chain}, this chain is {chain_id}")
    if recovery > 1 or max(r, s) >= 1 << 256:
        raise RawTransactionRefused("the signature is out of range")
    return _Fields(nonce, target, data, digest, uint_word(r) + uint_word(s) + bytes([recovery]))


def _effects(sender: Address, target: Address, data: bytes) -> tuple[Effect, ...]:
    words = [data[at : at + 32] for at in range(4, len(data) - 31, 32)]
    call = data[:4]
    if call == _APPROVE and len(words) == 2:
        amount = _number(words[1])
        return (CashApproved(token=target, owner=sender, spender=decode_address(words[0]), amount=amount),)
    if call == _TRANSFER and len(words) == 2:
        recipient = decode_address(words[0])
        return (CashMoves(token=target, source=sender, target=recipient, amount=_number(words[1])),)
    if call == _SET_APPROVAL_FOR_ALL and len(words) == 2:
        operator = decode_address(words[0])
        return (SharesApproved(token=target, owner=sender, operator=operator, approved=_number(words[1]) == 1),)
    if call == _SAFE_TRANSFER_FROM and len(words) >= 4:
        return (
            SharesMove(
                token=target,
                operator=sender,
                source=decode_address(words[0]),
                target=decode_address(words[1]),
                token_id=_number(words[2]),
                amount=_number(words[3]),
            ),
        )
    if not data:
        return ()
    raise RawTransactionRefused(f"execution reverted: the simulated chain knows no function {call.hex()}")


def _number(raw: bytes) -> int:
    return int.from_bytes(raw, "big")


def _minimal(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _rlp_list(raw: bytes) -> list[_Item]:
    """The items of one RLP list that spans all of `raw`; a nested list is one item whose content is not read."""
    start, end = _rlp_span(raw, 0)
    if raw[0] < 0xC0 or end != len(raw):
        raise RawTransactionRefused("not one RLP list from beginning to end")
    items: list[_Item] = []
    at = start
    while at < end:
        content_start, item_end = _rlp_span(raw, at)
        items.append(_Item(raw[at:item_end], raw[content_start:item_end]))
        at = item_end
    if at != end:
        raise RawTransactionRefused("an RLP item reaches beyond its list")
    return items


def _rlp_span(raw: bytes, at: int) -> tuple[int, int]:
    """Where the content of the RLP item at a position starts and ends."""
    first = raw[at]
    if first < 0x80:
        return at, at + 1
    short = first - (0xC0 if first >= 0xC0 else 0x80)
    if short <= 55:
        return at + 1, at + 1 + short
    start = at + 1 + short - 55
    return start, start + _number(raw[at + 1 : start])


def _as_list(encodings: list[bytes]) -> bytes:
    body = b"".join(encodings)
    return _header(len(body), 0xC0) + body


def _as_string(content: bytes) -> bytes:
    if len(content) == 1 and content[0] < 0x80:
        return content
    return _header(len(content), 0x80) + content


def _header(length: int, base: int) -> bytes:
    if length <= 55:
        return bytes([base + length])
    size = _minimal(length)
    return bytes([base + 55 + len(size)]) + size
