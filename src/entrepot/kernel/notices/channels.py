"""What a channel is: a way to reach somebody outside, and how it says that it did not."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from entrepot.kernel.notices.values import Notice

MAX_PROBLEM = 300
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


class Undeliverable(Exception):
    """The receiver will never take this message: trying again changes nothing."""


class Gone(Undeliverable):
    """The receiver wants no message any more: the address ends."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a message goes, and the secret it is signed with, where the channel signs."""

    address: str
    secret: str = ""


class Channel(Protocol):
    """Mail, webhook, and what else there may be. Used by several threads at once."""

    def deliver(self, target: Target, notice: Notice, key: str) -> None:
        """Hand a notice over; perhaps again with the same key, after a crash.

        Raises Undeliverable, Gone, and whatever else where it must be tried again. Ends within `LONGEST_S` seconds.
        """


LONGEST_S = 150
"""Any delivery ends in this time, or its lease ends first and it is made again."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Whether a channel can be used: `missing` is what the operator must set, empty when it is set up.

    `objection` says why an address cannot be used, "" when it can; it looks at the text only.
    """

    missing: str
    objection: Callable[[str], str]


def one_line(text: str, limit: int = MAX_PROBLEM) -> str:
    """Text without control characters, on one line, cut to the limit.

    >>> one_line("Subject" + chr(13) + chr(10) + "Bcc: x")
    'Subject Bcc: x'
    """
    return " ".join(_CONTROL.sub(" ", text).split())[:limit]
