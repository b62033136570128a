"""Rate limits of the doors: a token bucket for each actor, or address where nobody signed in, and operation."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address

from entrepot.kernel.operations import Actor, Operation, TooMany

MAX_BUCKETS = 50_000
SWEEP = 16
SITE_FACTOR = 3  # an IPv6 customer has a /48 or /56, and so hundreds of /64: together they count as three
EVERYBODY_FACTOR = 10  # Argon2id takes some 35 ms: 1,200 tries to sign in a minute are less than one processor
Key = tuple[str, str, str]


class RateLimiter:
    """`Operation.rate` calls a minute for each actor, in bursts of a sixth of it.

    Who is not signed in is counted by address (IPv6 by /64, and more widely by /48), and all of them together by a
    ceiling that is ten times as high: it bounds the work that many addresses can cause. For one thread, the event loop.
    """

    def __init__(self, seconds: Callable[[], float] = time.monotonic, max_buckets: int = MAX_BUCKETS) -> None:
        self._seconds = seconds
        self._max_buckets = max_buckets
        # When each bucket will be full again; the least recently used first.
        self._full_at: OrderedDict[Key, float] = OrderedDict()
        self._ceilings: dict[Key, float] = {}  # one an operation, never forgotten

    def __len__(self) -> int:
        """Buckets that are remembered, the ceilings left out."""
        return len(self._full_at)

    def check(self, actor: Actor, operation: Operation, address: str = "") -> TooMany | None:
        """Take one token from every bucket that counts; the refusal, which takes none, when one of them is empty.

        `address` is the client's, as the connection or a trusted proxy says; it counts for the not signed in only.
        """
        now, name, rate = self._seconds(), operation.name, operation.rate
        if actor.kind != "anonymous":
            wanted = [((actor.tenant, actor.id, name), rate)]
        else:
            wanted = [((actor.tenant, network, name), rate * factor) for network, factor in networks_of(address)]
        taken: list[tuple[Key, float]] = []
        for key, allowed in wanted:
            full_at = _taken(self._full_at.get(key, now), now, allowed)
            if (wait_s := _wait_s(full_at, now, allowed)) > 0:
                return _refusal(f"{name} may be called {allowed} times a minute", wait_s)
            taken.append((key, full_at))
        if actor.kind == "anonymous":
            key, allowed = (actor.tenant, "", name), rate * EVERYBODY_FACTOR
            full_at = _taken(self._ceilings.get(key, now), now, allowed)
            if (wait_s := _wait_s(full_at, now, allowed)) > 0:
                return _refusal(f"{name} is called too often by people who are not signed in", wait_s)
            self._ceilings[key] = full_at
        for key, full_at in taken:
            self._keep(key, full_at, now)
        return None

    def _keep(self, key: Key, full_at: float, now: float) -> None:
        if key not in self._full_at and len(self._full_at) >= self._max_buckets:
            self._make_room(now)
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)

    def _make_room(self, now: float) -> None:
        """Forget what is full again, for that forgets nothing; else the oldest, never everybody's."""
        oldest = [key for key, _ in zip(self._full_at, range(SWEEP), strict=False)]
        full = [key for key in oldest if self._full_at[key] <= now]
        for key in full or oldest[:1]:
            del self._full_at[key]


@lru_cache(maxsize=4096)
def networks_of(address: str) -> tuple[tuple[str, int], ...]:
    """The networks that an address is counted in, each with how many addresses' worth of calls it has.

    >>> networks_of("192.0.2.7")
    (('@192.0.2.7', 1),)
    >>> networks_of("2001:db8:1:2::7")
    (('@2001:db8:1:2::/64', 1), ('@2001:db8:1::/48', 3))

    What is no address (a socket of the file system, a proxy's "unknown") is counted together.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return (("@", 1),)
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is None:
            near, site = (IPv6Network((int(parsed), bits), strict=False) for bits in (64, 48))
            return ((f"@{near}", 1), (f"@{site}", SITE_FACTOR))
        parsed = parsed.ipv4_mapped
    return ((f"@{parsed}", 1),)


def _burst(rate: int) -> float:
    return max(10.0, rate / 6)


def _taken(full_at: float, now: float, rate: int) -> float:
    """When the bucket is full again after one token more."""
    return max(full_at, now) + 60 / rate


def _wait_s(full_at: float, now: float, rate: int) -> float:
    """How long until the bucket had that token; not above 0 where it has."""
    return full_at - now - _burst(rate) * 60 / rate - 1e-6


def _refusal(what: str, wait_s: float) -> TooMany:
    seconds = math.ceil(wait_s)
    return TooMany("rate/limit", f"{what}; wait {seconds} s.", retry_after_s=seconds)
