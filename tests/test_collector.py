"""The garbage collector is set for the time of a runtime and given back as it was."""

import gc

import pytest
from tallystick.collector import THRESHOLDS, seldom_collecting


def test_inside_the_block_collections_are_seldom_and_leave_out_what_was_there() -> None:
    with seldom_collecting():
        assert gc.get_threshold() == THRESHOLDS
        assert gc.get_freeze_count() > 0


def test_afterwards_everything_is_as_it_was() -> None:
    before = gc.get_threshold()
    with pytest.raises(KeyError), seldom_collecting():
        raise KeyError
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
