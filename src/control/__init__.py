"""Operators' control of a running runtime: what they may ask, and the Unix socket over which they ask it.

Start with ``protocol`` (what travels) and ``operations`` (what is done); ``server`` and ``client`` are the two ends.
"""
