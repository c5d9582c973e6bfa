"""Whole days in virtual time, against a simulated venue in another process.

virtual_time    one clock for two processes, which moves only when both are quiet
venue_process   the venue: started, asked, and ended with its parent
day             the plan of a day as pure data; day_drawing draws it from a seed, day_script tells it to the venue
day_run         a runtime and a strategy live through it
day_record      what became of it, read from the store and held against the plan
"""
