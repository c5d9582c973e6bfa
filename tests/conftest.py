"""What every test may rely on: how property tests draw, and that Ctrl-C is Ctrl-C.

Property tests draw the same examples in every run, so that a change is judged by what it changed;
`TALLYSTICK_EXPLORE=1 pytest` draws new ones each time, for looking further than the last run did.
"""

import os
import signal

from hypothesis import settings

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what runs in its background with interrupts ignored, and children would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile("explore" if os.environ.get("TALLYSTICK_EXPLORE") else "repeatable")
