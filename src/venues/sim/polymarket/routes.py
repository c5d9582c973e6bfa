"""Which path asks what: every REST path of the CLOB, the Data API, Gamma and the relayer on one host.

Handlers are plain functions from a request to a response; nothing here waits. Errors become the venue's answers in
one place, `Routes.answer`.
"""

from collections.abc import Callable
from decimal import Decimal

import msgspec

from ...polymarket.auth import Credentials
from ...polymarket.orders import ApiKey
from ..server.http import Request, Response, error_response, json_response
from .data_api import DataApi, QueryRefused
from .faults import LagDataApi, RefuseRequest, SkewClock
from .gamma import Gamma
from .keys import INVALID_KEY, AuthRefused, KeyHolder
from .numbers import to_units
from .order_entry import INVALID_PAYLOAD, OrderRejected, decode_entries
from .queries import BadQuery, NotFound, Queries
from .rate_limits import Purpose
from .refusals import refusal
from .venue import Venue
from .wire import Json

Handler = Callable[[Request], Response]

_BATCH_MAX = 15
_CANCEL_BATCH_MAX = 3_000


class Routes:
    """Answers every request that is for the venue itself."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._queries = Queries(venue)
        self._data = DataApi(venue.history, self._queries.price)
        self._gamma = Gamma(venue.catalogue, self._queries.best, self._queries.price)
        self._exact: dict[tuple[str, str], Handler] = {
            # Orders and cancels first: the paths that matter most.
            ("POST", "/order"): self._post_order,
            ("POST", "/orders"): self._post_orders,
            ("DELETE", "/order"): self._cancel_order,
            ("DELETE", "/orders"): self._cancel_orders,
            ("DELETE", "/cancel-all"): self._cancel_all,
            ("DELETE", "/cancel-market-orders"): self._cancel_market_orders,
            ("POST", "/v1/heartbeats"): self._heartbeat,
            ("GET", "/data/orders"): lambda r: json_response(self._queries.orders(r.query, self._holder(r))),
            ("GET", "/data/trades"): lambda r: json_response(self._queries.trades(r.query, self._holder(r))),
            ("GET", "/data/pre-migration-orders"): self._no_orders,
            ("GET", "/balance-allowance"): self._balance_allowance,
            ("GET", "/balance-allowance/update"): self._update_balance_allowance,
            ("GET", "/v1/user/rate-limit-tier"): self._rate_limit_tier,
            # Keys.
            ("POST", "/auth/api-key"): self._create_key,
            ("GET", "/auth/derive-api-key"): self._derive_key,
            ("DELETE", "/auth/api-key"): self._delete_key,
            ("GET", "/auth/api-keys"): self._list_keys,
            ("POST", "/auth/readonly-api-key"): self._create_read_only_key,
            ("GET", "/auth/readonly-api-keys"): self._list_read_only_keys,
            ("DELETE", "/auth/readonly-api-key"): self._delete_read_only_key,
            ("GET", "/auth/ban-status/closed-only"): self._closed_only,
            # Markets and books.
            ("GET", "/"): lambda _r: json_response("OK"),
            ("GET", "/ok"): lambda _r: json_response("OK"),
            ("GET", "/time"): lambda _r: json_response(self._judged_ms() // 1_000),
            ("GET", "/version"): lambda _r: json_response({"version": 2}),
            ("GET", "/book"): lambda r: json_response(self._queries.book(r.query.get("token_id"))),
            ("POST", "/books"): self._books,
            ("GET", "/tick-size"): self._tick_size,
            ("GET", "/neg-risk"): self._neg_risk,
            ("GET", "/fee-rate"): self._fee_rate,
            ("GET", "/midpoint"): lambda r: json_response({"mid": self._queries.midpoint(r.query.get("token_id"))}),
            ("POST", "/midpoints"): self._by_token(lambda token, _item: self._queries.midpoint(token)),
            ("GET", "/spread"): lambda r: json_response({"spread": self._queries.spread(r.query.get("token_id"))}),
            ("POST", "/spreads"): self._by_token(lambda token, _item: self._queries.spread(token)),
            ("GET", "/price"): self._price,
            ("POST", "/prices"): self._prices,
            ("GET", "/last-trade-price"): lambda r: json_response(self._queries.last_trade(r.query.get("token_id"))),
            ("POST", "/last-trades-prices"): self._last_trades,
            ("GET", "/sampling-markets"): self._all_markets,
            ("GET", "/simplified-markets"): self._all_markets,
            ("GET", "/sampling-simplified-markets"): self._all_markets,
            ("GET", "/markets"): self._markets,
            # Data API.
            ("GET", "/v2/positions"): lambda r: json_response(self._data.positions(r.query, self._indexed_ms())),
            ("GET", "/v2/activity"): lambda r: json_response(self._data.activity(r.query, self._indexed_ms())),
            ("GET", "/v2/trades"): lambda r: json_response(self._data.trades(r.query, self._indexed_ms())),
            ("GET", "/v2/value"): lambda r: json_response(self._data.value(r.query, self._indexed_ms())),
            ("GET", "/v2/user-stats"): lambda r: json_response(self._data.user_stats(r.query, self._indexed_ms())),
            ("GET", "/v2/positions/combos"): self._empty_data,
            ("GET", "/v2/activity/combos"): self._empty_data,
            ("GET", "/v2/approvals"): self._empty_data,
            ("GET", "/v2/status"): self._data_status,
            # Gamma.
            ("GET", "/markets/keyset"): self._gamma_markets,
            ("GET", "/events/keyset"): self._gamma_events,
            ("GET", "/events"): lambda r: json_response(self._gamma.events(r.query_lists)),
            ("GET", "/tags"): lambda _r: json_response([]),
            ("GET", "/series"): lambda _r: json_response([]),
            # Relayer and the rest.
            ("GET", "/deployed"): lambda _r: json_response({"deployed": True}),
            ("GET", "/api/geoblock"): lambda _r: json_response(
                {"blocked": False, "ip": "127.0.0.1", "country": "PT", "region": ""}
            ),
        }
        # Paths that end in a name: the first prefix that fits answers.
        self._prefixed: tuple[tuple[str, str, Callable[[Request, str], Response]], ...] = (
            ("GET", "/data/order/", self._order),
            ("GET", "/order/", self._order_base_units),
            ("GET", "/markets-by-token/", lambda _r, name: json_response(self._queries.markets_by_token(name))),
            ("GET", "/clob-markets/", lambda _r, name: json_response(self._queries.clob_market(name))),
            ("GET", "/markets/slug/", self._gamma_market),
            ("GET", "/markets/", self._market),
            ("GET", "/events/slug/", self._gamma_event),
            ("GET", "/events/", self._gamma_event),
            ("GET", "/fees/builder-fees/", self._builder_fees),
        )

    def answer(self, request: Request) -> Response:
        """The venue's answer, whatever was asked."""
        try:
            handler = self._exact.get((request.method, request.path))
            if handler is not None:
                return handler(request)
            for method, prefix, named in self._prefixed:
                if request.method == method and request.path.startswith(prefix):
                    return named(request, request.path[len(prefix) :])
        except AuthRefused as error:
            return error_response(str(error), error.status)
        except OrderRejected as error:
            return error_response(error.text, error.status)
        except NotFound as error:
            return error_response(str(error), 404)
        except (BadQuery, QueryRefused) as error:
            return error_response(str(error), 400)
        return error_response("not found", 404)

    # Who asks.

    def _holder(self, request: Request, *, trades: bool = False) -> KeyHolder:
        holder = self._venue.keys.prove_holder(
            request.headers, request.method, request.path, request.body, self._judged_ms()
        )
        if trades and holder.read_only:
            raise AuthRefused(401, INVALID_KEY)
        return holder

    def _judged_ms(self) -> int:
        """The time by which timestamps of requests are judged."""
        skew = self._venue.faults.shows(SkewClock, self._venue.now_ms)
        return self._venue.now_ms + (0 if skew is None else round(skew.ahead_seconds * 1_000))

    def _limited(self, holder: KeyHolder, purpose: Purpose, cost: int, answer: Callable[[], Response]) -> Response:
        """The answer with the rate-limit headers on it, or 429 instead of it."""
        verdict = self._venue.rate_limits.spend(holder.owner, purpose, cost, self._venue.now_ms)
        if not verdict.allowed:
            return error_response("Too Many Requests", 429, verdict.headers)
        try:
            response = answer()
        except OrderRejected as error:
            response = error_response(error.text, error.status)
        return msgspec.structs.replace(response, headers=(*response.headers, *verdict.headers))

    # Orders.

    def _post_order(self, request: Request) -> Response:
        holder = self._holder(request, trades=True)
        item = _decode(request.body, INVALID_PAYLOAD)
        refused = self._trading_refusal([item])
        if refused is not None:
            return refused
        return self._limited(holder, "orders", 1, lambda: json_response(self._venue.post_order(item, holder)))

    def _post_orders(self, request: Request) -> Response:
        holder = self._holder(request, trades=True)
        items = decode_entries(request.body)
        if not items:
            raise OrderRejected(INVALID_PAYLOAD)
        if len(items) > _BATCH_MAX:
            raise OrderRejected("Too many orders in payload")
        refused = self._trading_refusal(items)
        if refused is not None:
            return refused
        return self._limited(
            holder, "orders", len(items), lambda: json_response([self._post_leg(item, holder) for item in items])
        )

    def _post_leg(self, item: object, holder: KeyHolder) -> Json:
        try:
            return self._venue.post_order(item, holder)
        except OrderRejected as error:
            return {
                "success": False,
                "errorMsg": error.text,
                "orderID": "",
                "status": "",
                "makingAmount": "",
                "takingAmount": "",
                "transactionsHashes": [],
                "tradeIDs": [],
            }

    def _trading_refusal(self, items: list[object]) -> Response | None:
        """The refusal of new orders while trading is restricted; post-only orders pass in post-only mode."""
        post_only = all(isinstance(item, dict) and item.get("postOnly") is True for item in items)

        def restricts(fault: RefuseRequest) -> bool:
            return (fault.kind == "post_only_mode" and not post_only) or fault.kind in {
                "cancel_only",
                "trading_disabled",
            }

        fault = self._venue.faults.bite(RefuseRequest, self._venue.now_ms, restricts)
        return None if fault is None else refusal(fault)

    def _cancel_order(self, request: Request) -> Response:
        holder = self._holder(request, trades=True)
        body = _decode(request.body, INVALID_PAYLOAD)
        order_id = body.get("orderID") if isinstance(body, dict) else None
        if not isinstance(order_id, str):
            raise OrderRejected(INVALID_PAYLOAD)
        return self._cancels(holder, 1, lambda: self._venue.cancel([order_id], holder))

    def _cancel_orders(self, request: Request) -> Response:
        holder = self._holder(request, trades=True)
        order_ids = _decode(request.body, INVALID_PAYLOAD)
        if not isinstance(order_ids, list) or not all(isinstance(order_id, str) for order_id in order_ids):
            raise OrderRejected(INVALID_PAYLOAD)
        if len(order_ids) > _CANCEL_BATCH_MAX:
            raise OrderRejected("Too many orders in payload")
        return self._cancels(holder, len(order_ids), lambda: self._venue.cancel(order_ids, holder))

    def _cancel_all(self, request: Request) -> Response:
        holder = self._holder(request, trades=True)
        return self._cancels(holder, 1, lambda: self._venue.cancel_matching(holder))

    def _cancel_market_orders(self, request: Request) -> Response:
        holder = self._holder(request, trades=True)
        body = _decode(request.body, INVALID_PAYLOAD)
        if not isinstance(body, dict) or not (body.get("market") or body.get("asset_id")):
            raise OrderRejected(INVALID_PAYLOAD)
        market = str(body["market"]).lower() if body.get("market") else None
        token_id = str(body["asset_id"]) if body.get("asset_id") else None
        return self._cancels(holder, 1, lambda: self._venue.cancel_matching(holder, market, token_id))

    def _cancels(self, holder: KeyHolder, cost: int, cancel: Callable[[], Json]) -> Response:
        return self._limited(holder, "cancels", cost, lambda: json_response(cancel()))

    def _heartbeat(self, request: Request) -> Response:
        holder = self._holder(request, trades=True)
        body = _decode(request.body, INVALID_PAYLOAD)
        heartbeat_id = body.get("heartbeat_id") if isinstance(body, dict) else None
        if heartbeat_id is not None and not isinstance(heartbeat_id, str):
            raise OrderRejected(INVALID_PAYLOAD)
        right, following = self._venue.heartbeats.beat(holder.api_key, heartbeat_id or "", self._venue.now_ms)
        if not right:
            return json_response({"error_msg": "Invalid Heartbeat ID", "heartbeat_id": following}, 400)
        return json_response({"heartbeat_id": following})

    # Own orders and balances.

    def _order(self, request: Request, order_id: str) -> Response:
        return json_response(self._queries.order(order_id, self._holder(request)))

    def _order_base_units(self, request: Request, order_id: str) -> Response:
        """The older path: prefixed status, sizes in base units."""
        row = self._queries.order(order_id, self._holder(request))
        if row is None:
            raise NotFound("order not found")
        sizes = {name: str(to_units(Decimal(str(row[name])))) for name in ("original_size", "size_matched")}
        return json_response({**row, **sizes, "status": f"ORDER_STATUS_{row['status']}"})

    def _no_orders(self, request: Request) -> Response:
        self._holder(request)
        return json_response({"limit": 100, "next_cursor": "LTE=", "count": 0, "data": []})

    def _balance_allowance(self, request: Request) -> Response:
        return json_response(self._queries.balance_allowance(request.query, self._holder(request)))

    def _update_balance_allowance(self, request: Request) -> Response:
        self._queries.update_balance_allowance(request.query, self._holder(request))
        return Response(body=b"")

    def _rate_limit_tier(self, request: Request) -> Response:
        self._holder(request)
        return json_response({"tier": self._venue.rate_limits.tier.name})

    # Keys.

    def _create_key(self, request: Request) -> Response:
        owner, nonce = self._venue.keys.prove_owner(request.headers, self._judged_ms())
        credentials = self._venue.keys.create(owner, nonce)
        if credentials is None:
            return error_response("Could not create api key", 400)
        self._venue.wallets.use(owner, owner)
        return json_response(_told(credentials))

    def _derive_key(self, request: Request) -> Response:
        owner, nonce = self._venue.keys.prove_owner(request.headers, self._judged_ms())
        credentials = self._venue.keys.derive(owner, nonce)
        if credentials is None:
            return error_response("Could not derive api key!", 400)
        return json_response(_told(credentials))

    def _delete_key(self, request: Request) -> Response:
        self._venue.keys.delete(self._holder(request).api_key)
        return json_response("OK")

    def _list_keys(self, request: Request) -> Response:
        return json_response({"apiKeys": self._venue.keys.of_owner(self._holder(request).owner)})

    def _create_read_only_key(self, request: Request) -> Response:
        return json_response({"apiKey": self._venue.keys.create_read_only(self._holder(request, trades=True).owner)})

    def _list_read_only_keys(self, request: Request) -> Response:
        owner = self._holder(request).owner
        return json_response({"readonlyApiKeys": self._venue.keys.of_owner(owner, read_only=True)})

    def _delete_read_only_key(self, request: Request) -> Response:
        owner = self._holder(request, trades=True).owner
        body = _decode(request.body, INVALID_PAYLOAD)
        key = ApiKey(str(body.get("key"))) if isinstance(body, dict) else ApiKey("")
        if key not in self._venue.keys.of_owner(owner, read_only=True):
            raise NotFound("api key not found")
        self._venue.keys.delete(key)
        return json_response("OK")

    def _closed_only(self, request: Request) -> Response:
        self._holder(request)
        return json_response({"closed_only": False})

    # Markets and books.

    def _books(self, request: Request) -> Response:
        return json_response([self._queries.book(token) for token, _ in _tokens(request.body)])

    def _tick_size(self, request: Request) -> Response:
        return json_response(
            {"minimum_tick_size": self._queries.market_of_token(request.query.get("token_id")).tick_size}
        )

    def _neg_risk(self, request: Request) -> Response:
        return json_response({"neg_risk": self._queries.market_of_token(request.query.get("token_id")).spec.neg_risk})

    def _fee_rate(self, request: Request) -> Response:
        self._queries.market_of_token(request.query.get("token_id"))
        return json_response({"base_fee": 0})

    def _price(self, request: Request) -> Response:
        price = self._queries.side_price(request.query.get("token_id"), request.query.get("side"))
        return json_response({"price": price})

    def _prices(self, request: Request) -> Response:
        prices: dict[str, dict[str, str]] = {}
        for token, item in _tokens(request.body):
            side = str(item.get("side"))
            prices.setdefault(token, {})[side] = self._queries.side_price(token, side)
        return json_response(prices)

    def _last_trades(self, request: Request) -> Response:
        return json_response(
            [{"token_id": token, **self._queries.last_trade(token)} for token, _ in _tokens(request.body)]
        )

    def _by_token(self, value: Callable[[str, Json], str]) -> Handler:
        return lambda request: json_response({token: value(token, item) for token, item in _tokens(request.body)})

    def _all_markets(self, request: Request) -> Response:
        return json_response(self._queries.all_markets(request.query.get("next_cursor")))

    def _markets(self, request: Request) -> Response:
        """One path for two services: with a CLOB cursor the CLOB's listing, else Gamma's."""
        if "next_cursor" in request.query:
            return self._all_markets(request)
        return json_response(self._gamma.markets(request.query_lists))

    def _market(self, request: Request, name: str) -> Response:
        """One path for two services: a condition id asks the CLOB, a number or slug asks Gamma."""
        if name.startswith("0x"):
            market = self._queries.market_of_condition(name)
            return json_response(self._queries.clob_market_long(market))
        return self._gamma_market(request, name)

    def _builder_fees(self, request: Request, code: str) -> Response:
        return json_response({"builder_maker_fee_rate_bps": 0, "builder_taker_fee_rate_bps": 0})

    # Data API and Gamma.

    def _indexed_ms(self) -> int:
        """Up to when the Data API has indexed the chain."""
        fault = self._venue.faults.shows(LagDataApi, self._venue.now_ms)
        return self._venue.now_ms if fault is None else self._venue.now_ms - round(fault.lag_seconds * 1_000)

    def _empty_data(self, request: Request) -> Response:
        return json_response({"data": [], "pagination": {"has_more": False, "next_cursor": None}})

    def _data_status(self, request: Request) -> Response:
        block = self._venue.chain.head(self._indexed_ms())
        return json_response({"data": {"status": "ok", "block_number": block}})

    def _gamma_markets(self, request: Request) -> Response:
        rows = self._gamma.markets(request.query_lists)
        return json_response(_paged(lambda: self._gamma.page("markets", rows, request.query_lists)))

    def _gamma_events(self, request: Request) -> Response:
        rows = self._gamma.events(request.query_lists)
        return json_response(_paged(lambda: self._gamma.page("events", rows, request.query_lists)))

    def _gamma_market(self, request: Request, name: str) -> Response:
        market = self._gamma.market(name)
        if market is None:
            raise NotFound("market not found")
        return json_response(market)

    def _gamma_event(self, request: Request, name: str) -> Response:
        event = self._gamma.event(name)
        if event is None:
            raise NotFound("event not found")
        return json_response(event)


def _told(credentials: Credentials) -> dict[str, str]:
    return credentials.stream_auth()


def _decode(body: bytes, text: str) -> object:
    try:
        decoded: object = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise OrderRejected(text) from error
    return decoded


def _tokens(body: bytes) -> list[tuple[str, Json]]:
    """The token ids of a bulk question, each with its item."""
    items = _decode(body, "Invalid payload")
    if not isinstance(items, list):
        raise BadQuery("Invalid payload")
    return [(str(item.get("token_id")), item) for item in items if isinstance(item, dict)]


def _paged(page: Callable[[], Json]) -> Json:
    try:
        return page()
    except ValueError as error:
        raise BadQuery(f"invalid limit or cursor: {error}") from error
