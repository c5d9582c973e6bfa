"""The few HTTP pieces a venue needs: a request with its body, a response, and JSON."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope

from .traffic import Peer

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_BODY_BYTES_MAX = 4 * 1024 * 1024


def encode_json(value: object) -> bytes:
    """Compact JSON; Decimals become numbers, so text that must stay text has to be text already."""
    return _ENCODER.encode(value)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request. Header names are lower case; `query` holds the last value of each name."""

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    query_lists: Mapping[str, list[str]]
    body: bytes
    peer: Peer


class Response(msgspec.Struct, frozen=True, kw_only=True):
    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


def json_response(value: object, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    return Response(status=status, body=encode_json(value), headers=headers)


def error_response(text: str, status: int, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    return json_response({"error": text}, status, headers)


async def read_request(scope: HTTPScope, receive: ASGIReceiveCallable) -> Request | None:
    """The whole request; None when the client went away first or sent more than anybody needs."""
    body = b""
    while True:
        message: Any = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message["body"]
        if len(body) > _BODY_BYTES_MAX:
            return None
        if not message["more_body"]:
            break
    pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    lists: dict[str, list[str]] = {}
    for name, value in pairs:
        lists.setdefault(name, []).append(value)
    client = scope["client"]
    assert client is not None, "every connection of this server has a peer"
    return Request(
        method=scope["method"],
        path=scope["path"],
        headers={name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]},
        query=dict(pairs),
        query_lists=lists,
        body=body,
        peer=(client[0], client[1]),
    )


async def send_response(response: Response, send: ASGISendCallable) -> None:
    headers = [
        (b"content-type", response.content_type.encode()),
        (b"content-length", str(len(response.body)).encode()),
        *((name.lower().encode(), value.encode()) for name, value in response.headers),
    ]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": False})
