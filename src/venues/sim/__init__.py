"""Simulated venues: one exchange core, a simulated chain, and per venue a server half that speaks its wire.

`core` matches orders and knows no venue. `polymarket` is the server half that official clients trade on.
"""
