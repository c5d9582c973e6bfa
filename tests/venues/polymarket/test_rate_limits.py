"""Limits are data, and what an answer says of a bucket is read."""

import pytest
from tallystick.venues.polymarket import public_requests, requests
from tallystick.venues.polymarket.rate_limits import BucketState, Quota, Tier, bucket_state, rate_limits
from tallystick.venues.port import Answer


def limits(quota: Quota) -> set[tuple[int, float]]:
    return {(limit.requests, limit.window_seconds) for limit in rate_limits() if limit.quota == quota}


def test_the_published_limits_are_stated_for_each_kind_of_request() -> None:
    assert {(5000, 10.0), (120_000, 600.0)} <= limits(Quota.PLACE)
    assert {(2000, 10.0), (15_000, 600.0)} == limits(Quota.CANCEL_BATCH)
    assert {(250, 10.0), (6000, 600.0)} == limits(Quota.CANCEL_ALL)
    assert {(200, 10.0)} == limits(Quota.BALANCE) == limits(Quota.DATA_POSITIONS)


def test_a_bucket_is_stated_as_its_size_in_the_time_that_refills_it() -> None:
    assert (60, 1.5) in limits(Quota.PLACE)
    assert (120, 1.5) in limits(Quota.CANCEL)
    elite = Tier(name="Elite", orders_per_second=600, orders_burst=900, cancels_per_second=600, cancels_burst=900)
    assert any(limit.requests == 900 and limit.quota == Quota.PLACE for limit in rate_limits(elite))


def test_every_request_is_charged_to_a_known_quota() -> None:
    known = set(Quota)
    made = [requests.cancel_all(), requests.place(b"{}"), requests.trades(), public_requests.version()]
    assert all(request.quota in known for request in made)


@pytest.mark.parametrize(
    ("headers", "state"),
    [
        ((), None),
        (
            (("Poly-RateLimit-Remaining", "-3.5"), ("poly-ratelimit-tier", "Standard")),
            BucketState(remaining=-3.5, reset_at_seconds=None, tier="Standard", warning=False),
        ),
        (
            (("poly-ratelimit-warning", "true"), ("poly-ratelimit-reset", "soon")),
            BucketState(remaining=None, reset_at_seconds=None, tier=None, warning=True),
        ),
    ],
)
def test_an_answer_tells_the_state_of_the_bucket(
    headers: tuple[tuple[str, str], ...], state: BucketState | None
) -> None:
    assert bucket_state(Answer(status=200, headers=headers, body=b"", received_at_ns=1)) == state
