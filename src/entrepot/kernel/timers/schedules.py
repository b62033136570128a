"""Schedules: when a recurring timer is due again."""

from dataclasses import dataclass
from datetime import UTC, datetime, time

from entrepot.kernel.database.schema import from_us, to_us
from entrepot.kernel.operations.errors import Invalid
from entrepot.kernel.reference.calendars import Calendar
from entrepot.kernel.reference.worktime import REGION

SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Schedule:
    """Either every so many seconds, or daily at a local time on the open days of a calendar.

    >>> str(Schedule.parse("daily 09:30 bank"))
    'daily 09:30 bank'
    """

    every_s: int = 0
    at: time | None = None
    calendar: str = "natural"

    def __post_init__(self) -> None:
        if (self.every_s > 0) == (self.at is not None) or self.every_s < 0:
            raise Invalid("timer/schedule", "A schedule recurs every so many seconds, or daily at a time.")

    def __str__(self) -> str:
        return f"every {self.every_s}" if self.at is None else f"daily {self.at:%H:%M} {self.calendar}"

    @staticmethod
    def parse(text: str) -> "Schedule":
        """The schedule of its text. Raises Invalid."""
        try:
            match text.split():
                case ["every", seconds]:
                    return Schedule(every_s=int(seconds))
                case ["daily", clock, calendar]:
                    return Schedule(at=time.fromisoformat(clock), calendar=calendar)
        except ValueError:
            pass
        raise Invalid("timer/schedule", f"{text!r} is no schedule.")

    def following_us(self, due_us: int, now_us: int, calendar: Calendar) -> int:
        """The next due time after both `due_us` and `now_us`: what was missed while nothing ran is not made up for.

        Raises Invalid where the calendar does not know the year.
        """
        if self.at is None:
            step_us = self.every_s * SECOND_US
            return due_us + step_us * max(1, (now_us - due_us) // step_us + 1)
        after = from_us(max(due_us, now_us)).astimezone(REGION)
        day = calendar.on_or_after(after.date())
        if datetime.combine(day, self.at, REGION) <= after:
            day = calendar.following(after.date())
        return to_us(datetime.combine(day, self.at, REGION).astimezone(UTC))
