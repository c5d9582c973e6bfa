"""Answers of a node are matched by id, and a failure is never a value."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tallystick.venues.evm.json_rpc import (
    Call,
    RpcError,
    RpcMissing,
    RpcResult,
    decode_batch,
    encode_batch,
    quantity,
    revert_reason,
    text_result,
)


def body(*rows: object) -> bytes:
    return msgspec.json.encode(list(rows))


def row(number: object, result: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": number, "result": result}


def error(number: object, code: int, message: str, data: object = None) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message, "data": data}}


def test_a_batch_numbers_its_calls_from_one() -> None:
    sent = encode_batch([Call(method="eth_chainId"), Call(method="eth_call", params=({"to": "0x1"}, "0x2"))])
    assert sent == (
        b'[{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]},'
        b'{"jsonrpc":"2.0","id":2,"method":"eth_call","params":[{"to":"0x1"},"0x2"]}]'
    )


def test_answers_in_any_order_are_matched_by_id() -> None:
    found = decode_batch(body(row(3, "c"), row(1, "a"), row("2", "b")), count=3)
    assert [text_result(answer) for answer in found] == ["a", "b", "c"]


def test_an_answer_that_is_missing_or_given_twice_is_said_so() -> None:
    found = decode_batch(body(row(1, "a"), row(1, "a"), row(9, "x"), row(None, "y")), count=2)
    assert found == (
        RpcMissing(why="the batch answers this call twice"),
        RpcMissing(why="the batch has no answer to this call"),
    )


def test_a_null_result_is_a_result() -> None:
    (found,) = decode_batch(body(row(1, None)), count=1)
    assert found == RpcResult(raw=b"null")
    assert isinstance(text_result(found), RpcMissing)


def test_an_answer_with_neither_result_nor_error_is_missing() -> None:
    (found,) = decode_batch(body({"id": 1}), count=1)
    assert found == RpcMissing(why="the answer has neither a result nor an error")


def test_one_error_object_answers_the_whole_batch() -> None:
    found = decode_batch(msgspec.json.encode(error(None, -32005, "limit exceeded")), count=2)
    assert len(found) == 2
    assert all(isinstance(answer, RpcError) and answer.retryable for answer in found)


@pytest.mark.parametrize(
    ("code", "message", "data", "reverted", "retryable"),
    [
        (3, "execution reverted: ERC1155: balance query for the zero address", "0x08c379a0", True, False),
        (-32000, "execution reverted", None, True, False),
        (-32000, "header not found", None, False, True),
        (-32000, "something else", None, False, False),
        (-32603, "internal error", None, False, True),
        (-32005, "too many requests", None, False, True),
        (-32601, "method not found", None, False, False),
        (-32602, "invalid params: timeout", None, False, False),
        (-32000, "missing trie node", {"why": "pruned"}, False, True),
    ],
)
def test_a_revert_and_a_fault_of_the_node_are_told_apart(
    code: int, message: str, data: Any, reverted: bool, retryable: bool
) -> None:
    (found,) = decode_batch(body(error(1, code, message, data)), count=1)
    assert isinstance(found, RpcError)
    assert (found.reverted, found.retryable) == (reverted, retryable)


def test_the_reason_of_a_revert_is_read() -> None:
    reason = b"paused"
    data = bytes.fromhex("08c379a0") + (32).to_bytes(32, "big") + len(reason).to_bytes(32, "big") + reason
    assert revert_reason(data) == "paused"
    assert revert_reason(bytes.fromhex("4e487b71") + (0x11).to_bytes(32, "big")) == "panic 0x11"
    assert revert_reason(b"\x01\x02\x03\x04") == ""
    (found,) = decode_batch(body(error(1, 3, "execution reverted", "0x" + data.hex())), count=1)
    assert isinstance(found, RpcError)
    assert found.message == "execution reverted (paused)"


@pytest.mark.parametrize("page", [b"<html>502</html>", b"", b"[", b"\xff\xfe", b'{"id":1', b"[1,2]", b"null"])
def test_what_is_not_json_rpc_leaves_every_call_without_an_answer(page: bytes) -> None:
    found = decode_batch(page, count=3)
    assert len(found) == 3
    assert all(isinstance(answer, RpcMissing) for answer in found)


@pytest.mark.parametrize(("text", "number"), [("0x0", 0), ("0x89", 137), ("0x089", None), ("89", None), ("0x", None)])
def test_quantities_have_no_leading_zeros(text: str, number: int | None) -> None:
    assert quantity(text) == number


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(st.binary(max_size=200) | json_values.map(msgspec.json.encode), st.integers(0, 5))
def test_any_bytes_give_exactly_one_answer_for_each_call(found: bytes, count: int) -> None:
    assert len(decode_batch(found, count=count)) == count
