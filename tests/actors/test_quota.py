"""Quotas: never more than a window allows, a share kept for cancels, and no request that waits for ever."""

from hypothesis import given
from hypothesis import strategies as st
from tallystick.actors.quota import BACKOFF_SECONDS_DEFAULT, Quota
from tallystick.venues.port import RateLimit

TEN_A_SECOND = RateLimit(quota="place", requests=10, window_seconds=1.0)

limits = st.lists(
    st.builds(
        RateLimit,
        quota=st.sampled_from(["place", "cancel", "general"]),
        requests=st.integers(1, 30),
        window_seconds=st.sampled_from([0.1, 1.0, 10.0, 600.0]),
    ),
    max_size=4,
)
calls = st.lists(
    st.tuples(st.sampled_from(["place", "cancel", "general", "other"]), st.floats(0, 5), st.booleans()), max_size=120
)


@given(limits=limits, calls=calls)
def test_no_window_ever_holds_more_than_it_allows_and_every_wait_is_enough(
    limits: list[RateLimit], calls: list[tuple[str, float, bool]]
) -> None:
    quota = Quota(limits, reserved_share=0.05)
    now = 0.0
    sent: list[tuple[float, str]] = []
    for name, passed, reserve in calls:
        now += passed
        wait = quota.take(name, now, reserve=reserve)
        assert wait >= 0
        if wait > 0:
            now += wait
            # A hair more, for what floats lose; whoever waited as told gets through.
            again = quota.take(name, now + 1e-6, reserve=reserve)
            assert again == 0
            now += 1e-6
        sent.append((now, name))
    for limit in limits:
        charged = [at for at, name in sent if limit.quota in {name, "general"}]
        for at in charged:
            inside = [other for other in charged if at - limit.window_seconds + 1e-6 < other <= at]
            assert len(inside) <= limit.requests


def test_new_orders_stop_before_the_window_is_full_and_cancels_use_the_rest() -> None:
    quota = Quota([TEN_A_SECOND], reserved_share=0.2)
    assert [quota.take("place", 0.0, reserve=False) for _ in range(8)] == [0.0] * 8
    assert quota.take("place", 0.0, reserve=False) == 1.0
    assert [quota.take("place", 0.0, reserve=True) for _ in range(2)] == [0.0, 0.0]
    assert quota.take("place", 0.0, reserve=True) == 1.0


def test_a_wait_charges_nothing() -> None:
    quota = Quota([RateLimit(quota="place", requests=1, window_seconds=1.0)], reserved_share=0.0)
    assert quota.take("place", 0.0, reserve=True) == 0
    for _ in range(5):
        assert quota.take("place", 0.5, reserve=True) == 0.5
    assert quota.take("place", 1.0, reserve=True) == 0


def test_every_request_is_charged_to_the_general_limit_as_well() -> None:
    quota = Quota([RateLimit(quota="general", requests=3, window_seconds=1.0)], reserved_share=0.0)
    assert [quota.take(name, 0.0, reserve=True) for name in ("place", "cancel", "unknown")] == [0.0] * 3
    assert quota.take("place", 0.0, reserve=True) == 1.0


def test_a_refusal_holds_new_requests_of_that_kind_and_leaves_the_reserve_alone() -> None:
    quota = Quota([TEN_A_SECOND], reserved_share=0.05)
    quota.refused("place", 0.0, 7.0)
    assert quota.take("place", 1.0, reserve=False) == 6.0
    assert quota.take("place", 1.0, reserve=True) == 0.0
    assert quota.take("cancel", 1.0, reserve=False) == 0.0
    assert quota.take("place", 7.0, reserve=False) == 0.0


def test_a_shorter_refusal_does_not_end_a_longer_one_and_none_has_a_default() -> None:
    quota = Quota([], reserved_share=0.05)
    quota.refused("place", 0.0, 30.0)
    quota.refused("place", 1.0, 2.0)
    assert quota.take("place", 10.0, reserve=False) == 20.0
    quota.refused("cancel", 0.0, None)
    assert quota.take("cancel", 0.0, reserve=False) == BACKOFF_SECONDS_DEFAULT
