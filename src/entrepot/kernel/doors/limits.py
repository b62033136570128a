"""Rate limits of the doors: a token bucket for each actor and operation."""

import time
from collections.abc import Callable

from entrepot.kernel.operations import Actor, Operation, TooMany

MAX_BUCKETS = 50_000


class RateLimiter:
    """`Operation.rate` calls a minute for each actor (the not signed-in share one), in bursts of a sixth of it."""

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._buckets: dict[tuple[str, str, str], tuple[float, float]] = {}

    def check(self, actor: Actor, operation: Operation) -> TooMany | None:
        """Take one token; the refusal when there is none."""
        now = self._seconds()
        burst = max(10.0, operation.rate / 6)
        bucket = (actor.tenant, actor.id, operation.name)
        tokens, since = self._buckets.get(bucket, (burst, now))
        tokens = min(burst, tokens + (now - since) * operation.rate / 60)
        if tokens < 1:
            wait_s = int((1 - tokens) * 60 / operation.rate) + 1
            return TooMany(
                "rate/limit",
                f"{operation.name} may be called {operation.rate} times a minute; wait {wait_s} s.",
                retry_after_s=wait_s,
            )
        if len(self._buckets) >= MAX_BUCKETS and bucket not in self._buckets:
            self._buckets.clear()  # forgetting is kinder than growing: every bucket is full again
        self._buckets[bucket] = (tokens - 1, now)
        return None
