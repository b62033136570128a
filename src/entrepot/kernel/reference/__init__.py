"""Reference data: calendars, currencies, units, day counts, prices."""

from entrepot.kernel.reference.calendars import (
    OFFICE,
    REGION,
    WorkingHours,
    is_bank_day,
    is_working_day,
    next_bank_day,
    working_deadline,
    working_time_between,
)
from entrepot.kernel.reference.daycount import DayCount, simple_interest, year_fraction
from entrepot.kernel.reference.service import PricePoint, Reference, Series
from entrepot.kernel.reference.units import allocate, convert, round_to

__all__ = [
    "OFFICE",
    "REGION",
    "DayCount",
    "PricePoint",
    "Reference",
    "Series",
    "WorkingHours",
    "allocate",
    "convert",
    "is_bank_day",
    "is_working_day",
    "next_bank_day",
    "round_to",
    "simple_interest",
    "working_deadline",
    "working_time_between",
    "year_fraction",
]
