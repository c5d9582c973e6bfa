"""The Polymarket server half: what the venue answers, decided purely; `server` puts it on a socket.

`venue.Venue` is the whole venue as one object that is told the time with every call. The other modules are its
parts: markets, keys, order entry, settlement on the simulated chain, and the shapes of every answer and frame.
"""
