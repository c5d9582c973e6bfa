"""The exchange core: order books, matching, fees and timers as pure code. Time is passed in, nothing is awaited."""
