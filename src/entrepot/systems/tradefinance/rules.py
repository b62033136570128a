"""Pure rules of lending against goods: value, loan-to-value, lines, interest, and the order of payment."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

from entrepot.kernel.reference import DayCount, year_fraction

Level = Literal["ok", "warning", "top_up", "disposal"]
BASIS = 10_000
SEVERITY: dict[str, int] = {"ok": 0, "warning": 1, "top_up": 2, "disposal": 3}


def collateral_value(kilograms: int, fen_per_tonne: int) -> int:
    """Value of goods in fen at a price per tonne, rounded down: a lender counts what is surely there.

    >>> collateral_value(1_500_000, 753_471)
    1130206500
    """
    return kilograms * fen_per_tonne // 1000


def loan_to_value_bp(debt: int, value: int) -> int:
    """Current loan-to-value (当前质押率) in basis points, rounded up; goods worth nothing give the highest figure.

    >>> loan_to_value_bp(70, 100), loan_to_value_bp(0, 0)
    (7000, 0)
    """
    if debt <= 0:
        return 0
    if value <= 0:
        return BASIS * 1_000
    return min(-(-debt * BASIS // value), BASIS * 1_000)


def level(ltv_bp: int, warning_bp: int, top_up_bp: int, disposal_bp: int) -> Level:
    """Which line (警戒线, 补足线, 处置线) the loan-to-value has reached."""
    if ltv_bp >= disposal_bp:
        return "disposal"
    if ltv_bp >= top_up_bp:
        return "top_up"
    if ltv_bp >= warning_bp:
        return "warning"
    return "ok"


def advance_limit(value: int, advance_rate_bp: int) -> int:
    """The most that may be lent on goods of a value (质押率上限), rounded down."""
    return value * advance_rate_bp // BASIS


def amount_to_cure(debt: int, value: int, advance_rate_bp: int) -> int:
    """What must be repaid to bring the debt back under the advance rate cap."""
    return max(0, debt - advance_limit(value, advance_rate_bp))


@dataclass(frozen=True, slots=True)
class Accrual:
    """Interest of a span in whole fen, and the fraction of a fen carried on (numerator over `DENOMINATOR`)."""

    interest: int
    carry: int


DENOMINATOR = BASIS * 360 * 365
"""Every day count here divides by 360 or 365, so that fractions of a fen are whole numbers of 1/DENOMINATOR."""


def accrue(principal: int, rate_bp: int, start: date, end: date, day_count: DayCount, carry: int) -> Accrual:
    """Simple interest from `start` until before `end`, with the fraction left over from before.

    Accrued day by day or in one step, the sum is the same: nothing is lost to rounding.

    >>> accrue(100_000_00, 720, date(2008, 7, 1), date(2008, 7, 31), "ACT/360", 0)
    Accrual(interest=60000, carry=0)
    """
    exact = year_fraction(start, end, day_count) * principal * rate_bp * (DENOMINATOR // BASIS) + carry
    assert exact.denominator == 1, "a day count with another denominator needs another DENOMINATOR"
    interest, rest = divmod(int(exact), DENOMINATOR)
    return Accrual(interest, rest)


@dataclass(frozen=True, slots=True)
class Waterfall:
    """How proceeds are used; what is paid and left over adds up to the proceeds, to the fen."""

    costs: int
    interest: int
    principal: int
    surplus: int
    deficiency: int


def waterfall(proceeds: int, costs: int, interest: int, principal: int) -> Waterfall:
    """Costs of realisation, then interest, then principal; the surplus is the owner's, the deficiency stays owed.

    The order of article 561 of the Civil Code of the People's Republic of China (realisation costs, interest,
    principal); a surplus belongs to the pledgor and a deficiency to the debtor by article 438.

    >>> waterfall(100, 5, 10, 70)
    Waterfall(costs=5, interest=10, principal=70, surplus=15, deficiency=0)
    """
    assert min(proceeds, costs, interest, principal) >= 0, "amounts are not negative"
    left, paid = proceeds, []
    for claim in (costs, interest, principal):
        part = min(left, claim)
        paid.append(part)
        left -= part
    return Waterfall(paid[0], paid[1], paid[2], left, interest + principal - paid[1] - paid[2])
