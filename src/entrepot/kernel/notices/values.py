"""What a notice is."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Notice:
    """A message; `read_us` is 0 until somebody of the party has read it."""

    id: str
    party: str
    kind: str
    subject: str
    title: str
    title_zh: str
    body: str
    body_zh: str
    sent_us: int
    read_us: int
    read_by: str

    @property
    def state(self) -> Literal["delivered", "read"]:
        """A notice lies in the inbox from the commit of its operation on."""
        return "read" if self.read_us else "delivered"
