"""Reference data: calendars, working time, currencies, units, rounding, day counts, prices."""

from entrepot.kernel.reference.calendars import (
    BANK,
    EXCHANGE,
    LEGAL,
    NATURAL,
    Calendar,
    YearNotice,
    is_bank_day,
    is_working_day,
    next_bank_day,
)
from entrepot.kernel.reference.currencies import format_amount, minor_units, parse_amount
from entrepot.kernel.reference.daycount import DayCount, simple_interest, year_fraction
from entrepot.kernel.reference.rounding import Rounding, allocate, round_multiple, round_to
from entrepot.kernel.reference.service import PricePoint, Reference, Series
from entrepot.kernel.reference.units import convert
from entrepot.kernel.reference.worktime import OFFICE, REGION, WorkingHours, working_deadline, working_time_between

__all__ = [
    "BANK",
    "EXCHANGE",
    "LEGAL",
    "NATURAL",
    "OFFICE",
    "REGION",
    "Calendar",
    "DayCount",
    "PricePoint",
    "Reference",
    "Rounding",
    "Series",
    "WorkingHours",
    "YearNotice",
    "allocate",
    "convert",
    "format_amount",
    "is_bank_day",
    "is_working_day",
    "minor_units",
    "next_bank_day",
    "parse_amount",
    "round_multiple",
    "round_to",
    "simple_interest",
    "working_deadline",
    "working_time_between",
    "year_fraction",
]
