"""Time and identifiers come in from outside, so that a year replays in seconds, identically."""

import threading
import time
from datetime import datetime
from random import Random
from typing import Protocol

from entrepot.kernel.database.schema import to_us


class Clock(Protocol):
    """A source of the present."""

    def now_us(self) -> int:
        """Microseconds since the epoch, UTC."""
        ...


class SystemClock:
    """The machine's clock, never running backwards within the process."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def now_us(self) -> int:
        """Microseconds since the epoch, UTC; at least the value returned before."""
        with self._lock:
            self._last = max(self._last, time.time_ns() // 1000)  # noqa: TID251 - here the clock comes from
            return self._last


class ManualClock:
    """A clock that stands until it is moved: for replays and tests."""

    def __init__(self, start: datetime) -> None:
        self._now = to_us(start)

    def now_us(self) -> int:
        """The time it was last moved to."""
        return self._now

    def move_to(self, instant: datetime) -> None:
        """Move on to an instant that is not earlier."""
        target = to_us(instant)
        if target < self._now:
            raise ValueError("a clock does not run backwards")
        self._now = target

    def move_to_us(self, microseconds: int) -> None:
        """Move on to a count of microseconds; an earlier one leaves the clock where it is."""
        self._now = max(self._now, microseconds)


_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _DIGITS for second in _DIGITS]


def stem(now_us: int, random: Random) -> str:
    """Ten characters of time and eight of chance, in Crockford's base 32: identifiers sort by time of making."""
    value = ((now_us & ((1 << 50) - 1)) << 40) | random.getrandbits(40)
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in range(80, -1, -10)])
