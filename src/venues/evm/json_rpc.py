"""JSON-RPC requests, batches and answers (evm.md section 1).

A batch's answers may come in any order and are matched by id. An answer is a value or an explicit failure:
an error object, a missing answer and a page of HTML are three different things, and none of them is a zero.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ...model.value import Value

Json = str | int | bool | None | Sequence["Json"] | Mapping[str, "Json"]

_RETRYABLE_CODES = {-32603, -32005}
_PERMANENT_CODES = {-32600, -32601, -32602, -32700}
_RETRYABLE_WORDS = ("header not found", "missing trie node", "limit exceeded", "timeout", "too many requests")
_QUANTITY = re.compile(r"0x(?:0|[1-9a-fA-F][0-9a-fA-F]{0,63})")
_REVERT_REASON = bytes.fromhex("08c379a0")
_PANIC = bytes.fromhex("4e487b71")


class Call(Value, frozen=True):
    """One method with its parameters."""

    method: str
    params: tuple[Any, ...] = ()


class RpcError(Value, frozen=True, tag="rpc_error"):
    """The node answered one call with an error.

    `reverted` means that the contract refused: repeating the call gives the same. `retryable` means that the
    node may answer later, or another node now. The code alone cannot tell the two apart, so the message and
    the data are looked at (evm.md section 1).
    """

    code: int
    message: str
    data: bytes = b""
    reverted: bool = False
    retryable: bool = False


class RpcMissing(Value, frozen=True, tag="rpc_missing"):
    """The node's answer does not contain this call's result, or contains it twice, or cannot be read."""

    why: str


class RpcResult(Value, frozen=True, tag="rpc_result"):
    """The node's result, as undecoded JSON."""

    raw: bytes


RpcAnswer = RpcResult | RpcError | RpcMissing


class _Request(msgspec.Struct):
    jsonrpc: str
    id: int
    method: str
    params: tuple[Any, ...]


class _ErrorObject(msgspec.Struct):
    code: int
    message: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Response(msgspec.Struct):
    id: int | str | None = None
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: _ErrorObject | None = None


def encode_batch(calls: Sequence[Call]) -> bytes:
    """Return the body of one HTTP request that asks all of `calls`; their ids are 1, 2, 3, …"""
    return msgspec.json.encode(
        [
            _Request(jsonrpc="2.0", id=number, method=call.method, params=call.params)
            for number, call in enumerate(calls, start=1)
        ]
    )


def decode_batch(body: bytes, *, count: int) -> tuple[RpcAnswer, ...]:
    """Return the answers to a batch of `count` calls, in the order of the calls.

    Always `count` answers. A node may answer a whole batch with one error object: then every call has it.
    """
    try:
        rows = _rows(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        missing = RpcMissing(why=f"the answer is not JSON-RPC: {problem}")
        return (missing,) * count
    if isinstance(rows, _Response):
        if rows.error is not None:
            return (_error(rows.error),) * count
        rows = [rows]
    answers: dict[int, RpcAnswer] = {}
    for row in rows:
        number = _number(row.id)
        if number is None:
            continue
        if number in answers:
            answers[number] = RpcMissing(why="the batch answers this call twice")
        else:
            answers[number] = _answer(row)
    return tuple(
        answers.get(number, RpcMissing(why="the batch has no answer to this call")) for number in range(1, count + 1)
    )


def text_result(answer: RpcAnswer) -> str | RpcError | RpcMissing:
    """Return the text of a result that must be a JSON string."""
    if not isinstance(answer, RpcResult):
        return answer
    try:
        return msgspec.json.decode(answer.raw, type=str)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return RpcMissing(why=f"expected a text result, got {answer.raw[:60]!r}")


def quantity(text: str) -> int | None:
    """Return the integer of a hexadecimal quantity without leading zeros, or None when it is not one."""
    return int(text, 16) if _QUANTITY.fullmatch(text) else None


def hex_quantity(number: int) -> str:
    """Return an integer as the nodes write it."""
    return hex(number)


def _rows(body: bytes) -> "list[_Response] | _Response":
    return msgspec.json.decode(body, type=list[_Response] | _Response)


def _number(found: int | str | None) -> int | None:
    if isinstance(found, str):
        return int(found) if found.isascii() and found.isdigit() and len(found) < 10 else None
    return found


def _answer(row: _Response) -> RpcAnswer:
    if row.error is not None:
        return _error(row.error)
    if isinstance(row.result, msgspec.UnsetType):
        return RpcMissing(why="the answer has neither a result nor an error")
    return RpcResult(raw=bytes(row.result))


def _error(found: _ErrorObject) -> RpcError:
    data = _error_data(bytes(found.data))
    lower = found.message.lower()
    reverted = bool(data) or "revert" in lower
    message = found.message[:300]
    reason = revert_reason(data)
    if reason and reason not in message:
        message = f"{message} ({reason})"
    return RpcError(
        code=found.code,
        message=message,
        data=data[:4096],
        reverted=reverted,
        retryable=not reverted
        and found.code not in _PERMANENT_CODES
        and (found.code in _RETRYABLE_CODES or any(words in lower for words in _RETRYABLE_WORDS)),
    )


def _error_data(raw: bytes) -> bytes:
    try:
        text = msgspec.json.decode(raw, type=str)
        return bytes.fromhex(text.removeprefix("0x"))
    except (msgspec.MsgspecError, ValueError):
        # Some nodes put an object or a sentence there; the message says what matters then.
        return b""


def revert_reason(data: bytes) -> str:
    """Return the text in a Solidity revert, the code of a panic, or an empty text for any other data."""
    if data[:4] == _PANIC and len(data) >= 36:
        return f"panic {int.from_bytes(data[4:36], 'big'):#x}"
    if data[:4] != _REVERT_REASON or len(data) < 68:
        return ""
    length = int.from_bytes(data[36:68], "big")
    return data[68 : 68 + min(length, 300)].decode("utf-8", "replace")
