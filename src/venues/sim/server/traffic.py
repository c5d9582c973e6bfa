"""Who is connected, and how many bytes have passed."""

import msgspec

Peer = tuple[str, int]


class Traffic(msgspec.Struct):
    """Total bytes of a server's streams. What was counted as sent may still be on its way."""

    received: int = 0
    sent: int = 0
