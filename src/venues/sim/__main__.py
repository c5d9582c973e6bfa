"""`python -m tallystick.venues.sim polymarket` runs a simulated venue."""

from .cli import run

run()
