"""The one way in which bytes of the venue become typed values, or a sentence about why they do not."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TypeVar

import msgspec

from ...model.money import NotAnAmount, parse_decimal
from ...model.report import Unreadable, Unrecognised
from ..port import Answer, Reply, TransportFailure
from .contracts import ContractRefused, TokenId, parse_token_id
from .errors import malformed, unreadable
from .orders import OrderHash, Side
from .redaction import excerpt
from .times import TimeUnreadable, optional_nanoseconds
from .wire import LooseNumber, LooseTime

T = TypeVar("T")
Out = TypeVar("Out")


class Malformed(Exception):
    """Bytes or a field that cannot be read; never leaves this package's decoders."""


def typed(raw: bytes | str | msgspec.Raw, shape: type[T]) -> T:
    """Return `raw` JSON as `shape`; raises `Malformed` with what was wrong and where."""
    try:
        return msgspec.json.decode(raw, type=shape)
    except (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError) as problem:
        # A broken number can surface as an arithmetic error, broken UTF-8 as a value error.
        raise Malformed(str(problem)) from None


def read_item(
    raw: bytes | str | msgspec.Raw, read: Callable[[bytes | str | msgspec.Raw], Out], *, about_account: bool
) -> Out | Unrecognised:
    """Return one item as `read` makes of it, or an `Unrecognised` that says why it could not be read."""
    try:
        return read(raw)
    except Malformed as problem:
        return unrecognised(str(problem), raw, about_account=about_account)


def read_rows(
    rows: Sequence[msgspec.Raw], read: Callable[[bytes | str | msgspec.Raw], Out], *, about_account: bool
) -> tuple[tuple[Out, ...], tuple[Unrecognised, ...]]:
    """Return the rows that could be read and those that could not: together exactly as many as came."""
    good: list[Out] = []
    refused: list[Unrecognised] = []
    for row in rows:
        item = read_item(row, read, about_account=about_account)
        if isinstance(item, Unrecognised):
            refused.append(item)
        else:
            good.append(item)
    return tuple(good), tuple(refused)


def unrecognised(why: str, raw: bytes | str | msgspec.Raw, *, about_account: bool) -> Unrecognised:
    """Return an explicit record of something that was not understood, redacted."""
    content = raw if isinstance(raw, str) else bytes(raw)
    return Unrecognised(why=excerpt(why), excerpt=excerpt(content), about_account=about_account)


def read_answer(reply: Reply, read: Callable[[bytes], Out]) -> Out | Unreadable:
    """Return what `read` makes of a successful answer's body, or why there is nothing to read."""
    if isinstance(reply, TransportFailure) or not is_success(reply):
        return unreadable(reply)
    try:
        return read(reply.body)
    except Malformed as problem:
        return malformed(reply, excerpt(str(problem)))


def is_success(answer: Answer) -> bool:
    """Tell whether an answer has a success status; its body may still carry a refusal."""
    return 200 <= answer.status < 300


# ---- fields -----------------------------------------------------------------------------------------------


def amount(found: Decimal | LooseNumber, field: str) -> Decimal:
    """Return a finite number that is not negative; raises `Malformed`."""
    try:
        # A JSON number that was read as a float is written back as the shortest text that names it.
        number = parse_decimal(repr(found) if isinstance(found, float) else found)
    except NotAnAmount as problem:
        raise Malformed(f"{field}: {problem}") from None
    if number < 0:
        raise Malformed(f"{field}: expected a number that is not negative, found {number}")
    return number


def optional_amount(found: Decimal | LooseNumber, field: str) -> Decimal | None:
    """Return a number, or None for an absent or empty field."""
    return None if found is None or found == "" else amount(found, field)


def price(found: Decimal | LooseNumber, field: str = "price") -> Decimal:
    """Return a price between 0 and 1, both included; raises `Malformed`."""
    number = amount(found, field)
    if number > 1:
        raise Malformed(f"{field}: expected a price from 0 to 1, found {number}")
    return number


def side(found: str) -> Side:
    """Return the venue's side in any case of letters; raises `Malformed`."""
    try:
        return Side(found.upper())
    except ValueError:
        raise Malformed(f"side: expected BUY or SELL, found {found[:20]!r}") from None


def token_id(found: str, field: str = "asset_id") -> TokenId:
    """Return a token id; raises `Malformed`."""
    try:
        return parse_token_id(found)
    except ContractRefused as problem:
        raise Malformed(f"{field}: {problem}") from None


def order_id(found: str, field: str = "order id") -> OrderHash:
    """Return an order id in lower case; raises `Malformed` when it is empty."""
    if not found:
        raise Malformed(f"{field}: expected an order id, found an empty text")
    return OrderHash(found.lower())


def moment(found: LooseTime, field: str) -> int | None:
    """Return UTC nanoseconds, or None for an absent time; raises `Malformed`."""
    try:
        return optional_nanoseconds(found)
    except (TimeUnreadable, ArithmeticError) as problem:
        raise Malformed(f"{field}: {problem}") from None
