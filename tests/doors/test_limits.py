"""The limiter by itself: whose calls count together, what refills, and what is forgotten when the table is full."""

from dataclasses import dataclass

import pytest

from entrepot.kernel.doors.limits import EVERYBODY_FACTOR, SITE_FACTOR, RateLimiter, networks_of
from entrepot.kernel.operations import Actor, Operation
from entrepot.kernel.parties.operations import SignIn, WhoAmI

NOBODY = Actor.anonymous("test")
CHEN = Actor("test", "per_chen", "org_1", "person")


@dataclass
class Watch:
    """A clock of seconds that stands until it is moved."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def operation(request: type[SignIn] | type[WhoAmI] = SignIn) -> Operation:
    assert request.operation is not None
    return request.operation


BURST = operation().rate // 6


def taken(limiter: RateLimiter, actor: Actor, address: str = "", limit: int = 10_000) -> int:
    """Calls until the first refusal."""
    for count in range(limit):
        if limiter.check(actor, operation(), address) is not None:
            return count
    return limit


def test_one_address_uses_up_its_own_calls_and_no_other_s():
    limiter = RateLimiter(Watch())
    assert taken(limiter, NOBODY, "192.0.2.1") == BURST
    assert taken(limiter, NOBODY, "192.0.2.2") == BURST
    assert limiter.check(NOBODY, operation(WhoAmI), "192.0.2.1") is None
    assert limiter.check(CHEN, operation(), "192.0.2.1") is None


def test_it_refills_by_the_rate_and_says_how_long_to_wait():
    watch = Watch()
    limiter = RateLimiter(watch)
    taken(limiter, NOBODY, "192.0.2.1")
    refused = limiter.check(NOBODY, operation(), "192.0.2.1")
    assert refused is not None
    assert refused.status == 429
    assert "120 times a minute" in refused.detail
    watch.now += refused.extras["retry_after_s"]
    assert limiter.check(NOBODY, operation(), "192.0.2.1") is None
    watch.now += 3600
    assert taken(limiter, NOBODY, "192.0.2.1") == BURST, "a rest of an hour saves up no more than a burst"


def test_a_refused_call_takes_nothing():
    watch = Watch()
    limiter = RateLimiter(watch)
    taken(limiter, NOBODY, "192.0.2.1")
    for _ in range(1000):
        assert limiter.check(NOBODY, operation(), "192.0.2.1") is not None
    watch.now += 60 / operation().rate
    assert limiter.check(NOBODY, operation(), "192.0.2.1") is None


def test_ipv6_counts_by_the_64_and_more_widely_by_the_48():
    limiter = RateLimiter(Watch())
    assert taken(limiter, NOBODY, "2001:db8:0:1::1") == BURST
    assert taken(limiter, NOBODY, "2001:db8:0:1:ffff::2") == 0, "the same /64"
    rest = [taken(limiter, NOBODY, f"2001:db8:0:{number}::1") for number in range(2, 12)]
    assert BURST + sum(rest) == SITE_FACTOR * BURST, "the same /48"
    assert taken(limiter, NOBODY, "2001:db8:1::1") == BURST, "another customer"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("192.0.2.1", "::ffff:192.0.2.1"),
        ("2001:db8::1", "2001:0DB8:0::2"),
        ("unknown", ""),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_other_ways_to_write_an_address_give_no_other_bucket(one: str, other: str):
    assert networks_of(one) == networks_of(other)


def test_many_addresses_meet_a_ceiling_that_is_no_matter_to_who_is_signed_in():
    watch = Watch()
    limiter = RateLimiter(watch)
    passed = sum(limiter.check(NOBODY, operation(), f"10.0.{i // 250}.{i % 250}") is None for i in range(5_000))
    assert passed == EVERYBODY_FACTOR * BURST
    refused = limiter.check(NOBODY, operation(), "192.0.2.1")
    assert refused is not None
    assert "not signed in" in refused.detail
    assert limiter.check(CHEN, operation()) is None
    assert limiter.check(NOBODY, operation(WhoAmI), "192.0.2.1") is None, "each operation has its own"
    watch.now += refused.extras["retry_after_s"]
    assert taken(limiter, NOBODY, "192.0.2.1") > 0
    watch.now += 60
    assert taken(limiter, NOBODY, "192.0.2.1") == BURST, "what everybody used up was not taken from this address"


def person(number: int) -> Actor:
    return Actor("test", f"per_{number}", "org_1", "person")


def test_a_full_table_forgets_what_is_full_again_and_then_the_oldest_never_everybody():
    watch = Watch()
    limiter = RateLimiter(watch, max_buckets=100)
    for number in range(50):
        limiter.check(person(number), operation())
    watch.now += 3600
    assert taken(limiter, CHEN) == BURST
    for number in range(100, 199):  # those that rested make room
        limiter.check(person(number), operation())
    assert taken(limiter, CHEN) == 0
    assert len(limiter) <= 100
    for number in range(200, 250):  # none has rested: the oldest goes, and it alone
        assert limiter.check(person(number), operation()) is None
    assert len(limiter) == 100
    for number in (198, 249, 200):
        assert taken(limiter, person(number)) == BURST - 1


def test_the_ceiling_outlives_a_full_table():
    limiter = RateLimiter(Watch(), max_buckets=10)
    passed = sum(limiter.check(NOBODY, operation(), f"10.0.{i // 250}.{i % 250}") is None for i in range(2_000))
    assert passed == EVERYBODY_FACTOR * BURST
