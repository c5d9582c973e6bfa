"""Polymarket's central limit order book (CLOB V2) as a venue dialect: no socket, no clock, no random number.

`dialect` is what the runtime uses. Beneath it, from the venue's side to ours:

- `contracts`, `orders`, `amounts`: what an order is, on which contract, in which exact integers.
- `eip712`, `signing`, `auth`: the hashes and signatures; keys that never show themselves.
- `requests`, `public_requests`, `subscriptions`: everything that can be asked, as values with exact bytes.
- `wire`, `decoding`, `times`: bytes to typed values, or a sentence about why not.
- `errors`: every refusal in one of four classes; what nobody listed is an unknown outcome.
- `ledger`, `frames`, `answers`, `markets`, `indexer`, `wallet`: what answers and frames mean.
- `instruments`, `expression`, `reports`: the runtime's instruments and reports in place of the venue's words.
- `rate_limits`, `redaction`: limits as data, and what must never be seen.

What nobody has published stays visible where it matters: search for UNKNOWN.
"""
