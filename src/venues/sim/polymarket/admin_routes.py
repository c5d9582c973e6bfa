"""The operator's door, /_sim/: actions and scripts in, the venue's own books out. JSON both ways."""

from collections.abc import Callable, Mapping
from typing import get_args

import msgspec

from ..server.http import Request, Response, error_response, json_response
from . import actions
from .admin import ActionRefused, Admin
from .faults import AnyFault
from .markets import MarketSpec
from .own_books import OwnBooks
from .wire import Json

_ACTION = msgspec.json.Decoder(actions.AnyAction)
_SCRIPT = msgspec.json.Decoder(list[actions.ScriptStep])
_SHORTCUTS: Mapping[str, type[actions.Action]] = {
    "/_sim/accounts": actions.CreateAccount,
    "/_sim/orders": actions.PlaceOrder,
    "/_sim/quotes": actions.SetQuotes,
    "/_sim/settle": actions.SettleNow,
    "/_sim/reorg": actions.Reorg,
    "/_sim/transfers": actions.Transfer,
}


def _known_types(path: str) -> str:
    """The types that a tagged body may have, for somebody who gave another or none."""
    union = AnyFault if path == "/_sim/faults" else actions.AnyAction
    return f"; known types are {', '.join(sorted(kind.__struct_config__.tag for kind in get_args(union)))}"


class AdminRoutes:
    """Answers requests under /_sim/.

    POST /_sim/action takes any action by its tag, POST /_sim/script a list of steps. The other POST paths take the
    fields of one kind of action without its tag. GET paths: state, orders, trades, balances, faults, script.
    """

    def __init__(self, admin: Admin, books: OwnBooks) -> None:
        self._admin = admin
        self._books = books
        self._script_errors: list[Json] = []
        self._asked: dict[str, Callable[[Mapping[str, str]], object]] = {
            "/_sim/state": lambda _query: books.state(),
            "/_sim/orders": lambda query: books.orders(query.get("owner")),
            "/_sim/trades": lambda query: books.trades(query.get("owner")),
            "/_sim/balances": lambda _query: books.balances(),
            "/_sim/faults": lambda _query: books.faults(),
            "/_sim/script": lambda _query: self._script_errors,
        }

    def answer(self, request: Request) -> Response:
        """The answer to one request; what is wrong with it is told with status 400."""
        try:
            if request.method == "GET":
                asked = self._asked.get(request.path)
                return error_response("not found", 404) if asked is None else json_response(asked(request.query))
            return self._change(request)
        except msgspec.DecodeError as error:
            hint = _known_types(request.path) if str(error).endswith("`$.type`") else ""
            return error_response(f"{request.method} {request.path}: {error}{hint}", 400)
        except (ActionRefused, ValueError) as error:
            return error_response(str(error), 400)

    def _change(self, request: Request) -> Response:
        path, body = request.path, request.body
        if request.method == "DELETE" and path == "/_sim/faults":
            return json_response(self._admin.do(actions.LiftFaults()))
        if request.method != "POST":
            return error_response("method not allowed", 405)
        if path == "/_sim/action":
            return json_response(self._admin.do(_ACTION.decode(body)))
        if path == "/_sim/script":
            noted = self._admin.run_script(_SCRIPT.decode(body), self._note_failure)
            return json_response({"noted": noted})
        if path == "/_sim/faults":
            fault = msgspec.json.decode(body, type=AnyFault)
            return json_response(self._admin.do(actions.PutOnFault(fault=fault)))
        if path == "/_sim/markets":
            spec = msgspec.json.decode(body, type=MarketSpec)
            return json_response(self._admin.do(actions.CreateMarket(market=spec)))
        shortcut = _SHORTCUTS.get(path)
        if shortcut is None:
            return error_response("not found", 404)
        fields = msgspec.json.decode(body or b"{}", type=dict[str, object])
        tagged = {**fields, "type": shortcut.__struct_config__.tag}
        return json_response(self._admin.do(msgspec.convert(tagged, actions.AnyAction)))

    def _note_failure(self, step: actions.ScriptStep, text: str) -> None:
        self._script_errors.append({"at_seconds": step.at_seconds, "action": step.action, "error": text})
