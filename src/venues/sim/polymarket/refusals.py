"""The answers of a venue, or of the network in front of it, that is not taking requests (polymarket.md 15)."""

from ..server.http import Response, json_response
from .faults import HTML_ERROR, REFUSALS, RefuseRequest

TRADING_RESTRICTIONS = frozenset({"post_only_mode", "cancel_only", "trading_disabled"})
"""Refusals that concern new orders only; cancels and questions pass."""


def refusal(fault: RefuseRequest) -> Response:
    """The answer that a refusing fault gives."""
    if fault.kind == "html":
        return Response(status=502, body=HTML_ERROR.encode(), content_type="text/html; charset=UTF-8")
    if fault.kind == "other":
        return Response(status=fault.status, body=fault.body.encode())
    status, body = REFUSALS[fault.kind]
    if fault.kind == "post_only_mode":
        return json_response({**body, "retry_after_seconds": fault.retry_after_seconds}, status)
    if fault.kind == "rate_limited":
        return json_response(body, status, (("Retry-After", str(fault.retry_after_seconds)),))
    return json_response(body, status)
