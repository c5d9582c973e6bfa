"""Hides what must never be seen outside: secrets, signatures of requests, and the names of API keys.

An order's own signature stays: it authorises that one order and nothing else, and it is the evidence of what
was signed. API keys are replaced by a fingerprint, so that two records of one key can still be matched.
"""

import hashlib
import re
from collections.abc import Iterable

HIDDEN = "[hidden]"

_SECRET_FIELD = re.compile(
    rb'("(?:secret|passphrase|passphase|POLY_SIGNATURE|POLY_PASSPHRASE|private_?[kK]ey)"\s*:\s*)"(?:[^"\\]|\\.)*"?'
)
_KEY_FIELD = re.compile(
    rb'("(?:apiKey|apikey|api_key|POLY_API_KEY|owner|order_owner|trade_owner)"\s*:\s*)"((?:[^"\\]|\\.)*)"?'
)
_KEY_LIST = re.compile(rb'("(?:apiKeys|readonlyApiKeys)"\s*:\s*)\[[^\]]*\]?')
_SECRET_HEADER = re.compile(rb"(?im)^((?:poly[_-]signature|poly[_-]passphrase)\s*:\s*)[^\r\n]*")
_KEY_HEADER = re.compile(rb"(?im)^(poly[_-]api[_-]key\s*:\s*)([^\r\n]*)")


def fingerprint(text: str) -> str:
    """Return a short stand-in for a key: the same key always gives the same one, and it leads nowhere."""
    return "key:" + hashlib.sha256(text.encode()).hexdigest()[:12]


def redact(content: bytes, known_secrets: Iterable[str] = ()) -> bytes:
    """Return `content` with everything secret replaced.

    Works on any bytes, also broken JSON: what looks like a secret field is hidden to its closing quote or to
    the end. `known_secrets` are hidden wherever they stand, whatever field they are in.
    """
    for secret in known_secrets:
        if secret:
            content = content.replace(secret.encode(), HIDDEN.encode())
    content = _SECRET_FIELD.sub(rb'\1"' + HIDDEN.encode() + b'"', content)
    content = _KEY_FIELD.sub(_fingerprinted, content)
    content = _KEY_LIST.sub(rb'\1"' + HIDDEN.encode() + b'"', content)
    content = _SECRET_HEADER.sub(rb"\1" + HIDDEN.encode(), content)
    return _KEY_HEADER.sub(_fingerprinted_header, content)


def excerpt(content: bytes | str, limit: int = 300) -> str:
    """Return the beginning of something unreadable, redacted and safe to print."""
    raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    # Redaction comes before the cut, so that a secret cannot survive by losing its closing quote.
    text = redact(raw[: limit * 8]).decode("utf-8", "replace")
    return text if len(text) <= limit else text[:limit] + "…"


def _fingerprinted(match: re.Match[bytes]) -> bytes:
    value = match.group(2)
    if value == HIDDEN.encode() or not value or value.startswith(b"key:"):
        return match.group(0)
    return match.group(1) + b'"' + fingerprint(value.decode("utf-8", "replace")).encode() + b'"'


def _fingerprinted_header(match: re.Match[bytes]) -> bytes:
    value = match.group(2).strip()
    if value == HIDDEN.encode() or not value or value.startswith(b"key:"):
        return match.group(0)
    return match.group(1) + fingerprint(value.decode("utf-8", "replace")).encode()
