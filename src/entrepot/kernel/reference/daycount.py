"""Interest day counts."""

from datetime import date
from fractions import Fraction
from typing import Literal

from entrepot.kernel.reference.rounding import Rounding, round_to

DayCount = Literal["ACT/360", "ACT/365F", "30/360"]


def year_fraction(start: date, end: date, convention: DayCount) -> Fraction:
    """The share of a year from `start` until before `end` (ISDA 2006 definitions, section 4.16).

    >>> year_fraction(date(2008, 2, 28), date(2008, 3, 31), "30/360")
    Fraction(11, 120)
    """
    if end < start:
        raise ValueError("interest cannot run backwards")
    if convention == "ACT/360":
        return Fraction((end - start).days, 360)
    if convention == "ACT/365F":
        return Fraction((end - start).days, 365)
    first = min(start.day, 30)
    last = 30 if end.day == 31 and first == 30 else end.day
    return Fraction(360 * (end.year - start.year) + 30 * (end.month - start.month) + last - first, 360)


def simple_interest(
    principal_minor: int, rate_bp: int, start: date, end: date, convention: DayCount, rounding: Rounding = "half_up"
) -> int:
    """Simple interest in minor units on a principal at a yearly rate in basis points."""
    return round_to(Fraction(principal_minor * rate_bp, 10_000) * year_fraction(start, end, convention), rounding)
