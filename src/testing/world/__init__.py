"""A whole runtime, a simulated venue, their wires, disk and clocks in one process, from one seed.

world         the world: one venue, one machine, and the runtimes that come and go on it
wire          in-memory connections that can be late, cut, clogged, slow or silent
clock         the machine's wall clock, which can step and drift
schedule      in which order tasks run
venue         what a venue must offer to join; venue_faults names what can go wrong at any of them
rigs          every venue that has joined; polymarket is one
"""
