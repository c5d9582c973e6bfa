"""Values and state machines of order execution: no I/O, no clock, no actors.

What is here is what a strategy, an operator and a venue talk about. Everything is a frozen value; every
machine is a pure function from (state, event) to state, so it is tested without an event loop and replayed
from the journal by the code that runs live.
"""
