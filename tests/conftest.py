"""How property tests draw: the same examples in every run, so that a change is judged by what it changed.

`TALLYSTICK_EXPLORE=1 pytest` draws new ones each time, for looking further than the last run did.
"""

import os

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile("explore" if os.environ.get("TALLYSTICK_EXPLORE") else "repeatable")
