"""Units, currencies, rounding, day counts: exact figures with their sources, and properties."""

from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.kernel.operations import Invalid
from entrepot.kernel.reference import (
    Rounding,
    allocate,
    convert,
    format_amount,
    minor_units,
    parse_amount,
    round_multiple,
    round_to,
    simple_interest,
    year_fraction,
)
from entrepot.kernel.reference.currencies import MINOR_UNITS

MODES: list[Rounding] = ["half_even", "half_up", "down", "up"]
FRACTIONS = st.fractions(min_value=-(10**9), max_value=10**9, max_denominator=10**6)


class TestUnits:
    def test_a_barrel_is_42_gallons_of_231_cubic_inches(self):
        """NIST SP 811 appendix B: 1 barrel (42 US gallons) = 0.158 987 294 928 m³."""
        cubic_inch_m3 = Fraction("0.0254") ** 3
        assert convert(1, "bbl", "m3") == 42 * 231 * cubic_inch_m3

    def test_barrels_of_a_tonne(self):
        """World average of 7.33 barrels a tonne (BP Statistical Review, conversion factors) is 858.1 kg/m³."""
        assert round(convert(1, "t", "bbl", density_kg_m3=Fraction("858.1")), 2) == Fraction("7.33")

    def test_mass_and_volume_need_a_density(self):
        for density in (None, 0, -1):
            with pytest.raises(Invalid):
                convert(1, "t", "bbl", density_kg_m3=density)
        with pytest.raises(Invalid):
            convert(1, "catty", "kg")

    @given(FRACTIONS, st.sampled_from(["g", "kg", "t", "lb", "L", "m3", "bbl"]), st.integers(600, 1100))
    def test_there_and_back_is_exact(self, quantity, unit, density):
        for other in ("kg", "t", "L", "m3", "bbl"):
            there = convert(quantity, unit, other, density_kg_m3=density)
            assert convert(there, other, unit, density_kg_m3=density) == quantity


class TestRounding:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("2.5", [2, 3, 2, 3]), ("3.5", [4, 4, 3, 4]), ("-2.5", [-2, -3, -2, -3]), ("-3.5", [-4, -4, -3, -4]),
            ("2.4", [2, 2, 2, 3]), ("-2.6", [-3, -3, -2, -3]), ("7", [7, 7, 7, 7]), ("-0.5", [0, -1, 0, -1]),
        ],
    )  # fmt: skip
    def test_modes(self, value, expected):
        assert [round_to(Fraction(value), mode) for mode in MODES] == expected

    @given(FRACTIONS, st.sampled_from(MODES))
    def test_never_a_unit_away_and_symmetric(self, value, mode):
        assert abs(round_to(value, mode) - value) < 1
        assert round_to(-value, mode) == -round_to(value, mode)
        assert round_to(value) == round(value)
        assert round_multiple(value, 100, mode) % 100 == 0

    @given(st.integers(-(10**15), 10**15), st.lists(st.integers(0, 10**9), min_size=1, max_size=30))
    def test_allocation_conserves_the_total(self, total, weights):
        if sum(weights) == 0:
            with pytest.raises(ValueError, match="weights"):
                allocate(total, weights)
            return
        parts = allocate(total, weights)
        assert sum(parts) == total
        for part, weight in zip(parts, weights, strict=True):
            exact = Fraction(total * weight, sum(weights))
            assert abs(part - exact) < 1
            assert weight or part == 0
        heavier = sorted(range(len(weights)), key=lambda i: weights[i])
        if len(set(weights)) == len(weights):
            assert [abs(parts[i]) for i in heavier] == sorted(abs(part) for part in parts)

    def test_golden_split(self):
        """100 yuan over three: the fen that is left goes to the first."""
        assert allocate(10_000, [1, 1, 1]) == [3_334, 3_333, 3_333]
        assert allocate(-10_000, [1, 1, 1]) == [-3_334, -3_333, -3_333]


class TestCurrencies:
    def test_iso_4217_decimals(self):
        codes = ("CNY", "USD", "JPY", "KRW", "VND", "KWD", "BHD")
        assert [minor_units(code) for code in codes] == [2, 2, 0, 0, 0, 3, 3]
        with pytest.raises(Invalid):
            minor_units("XXY")

    @given(st.integers(-(10**18), 10**18), st.sampled_from(sorted(MINOR_UNITS)))
    def test_what_is_written_is_read_again(self, amount, currency):
        assert parse_amount(format_amount(amount, currency).split()[0], currency) == amount

    @pytest.mark.parametrize("text", ["1.234", "", "1.2.3", "12e3", "--1", "１２", "a", "1.", "NaN"])
    def test_what_is_no_amount_is_refused(self, text):
        if text == "1.":
            assert parse_amount(text, "CNY") == 100
            return
        with pytest.raises(Invalid):
            parse_amount(text, "CNY")


class TestDayCount:
    """Figures of ISDA's 30/360 example workbook (2006 definitions, section 4.16(f)): end-of-month cases."""

    @pytest.mark.parametrize(
        ("start", "end", "days"),
        [
            ("2007-01-15", "2007-01-30", 15), ("2007-01-15", "2007-02-15", 30), ("2007-01-15", "2007-07-15", 180),
            ("2007-09-30", "2008-03-31", 180), ("2007-09-30", "2007-10-31", 30), ("2007-09-30", "2008-09-30", 360),
            ("2007-01-15", "2007-01-31", 16), ("2007-01-31", "2007-02-28", 28), ("2007-02-28", "2007-03-31", 33),
            ("2006-08-31", "2007-02-28", 178), ("2007-02-28", "2007-08-31", 183), ("2007-02-14", "2007-02-28", 14),
            ("2007-02-26", "2008-02-29", 363), ("2008-02-29", "2009-02-28", 359), ("2008-02-29", "2008-03-30", 31),
            ("2008-02-29", "2008-03-31", 32), ("2007-02-28", "2007-03-05", 7), ("2007-10-31", "2007-11-28", 28),
            ("2007-08-31", "2008-02-29", 179), ("2008-02-29", "2008-08-31", 182), ("2008-08-31", "2009-02-28", 178),
        ],
    )  # fmt: skip
    def test_thirty_360(self, start, end, days):
        fraction = year_fraction(date.fromisoformat(start), date.fromisoformat(end), "30/360")
        assert fraction == Fraction(days, 360)

    def test_actual(self):
        start, end = date(2008, 2, 1), date(2008, 5, 31)
        assert year_fraction(start, end, "ACT/360") == Fraction(120, 360)
        assert year_fraction(start, end, "ACT/365F") == Fraction(120, 365)
        with pytest.raises(ValueError, match="backwards"):
            year_fraction(end, start, "ACT/360")

    def test_interest_in_fen(self):
        """10 million yuan at 7.20 % for 92 days, actual/360: 184,000.00 yuan."""
        assert simple_interest(1_000_000_000, 720, date(2008, 7, 1), date(2008, 10, 1), "ACT/360") == 18_400_000
        assert simple_interest(1_000_000_000, 720, date(2008, 7, 1), date(2008, 10, 1), "ACT/365F") == 18_147_945

    @given(st.dates(date(2000, 1, 1), date(2040, 1, 1)), st.integers(0, 4000), st.integers(0, 4000))
    def test_actual_days_add_up(self, start, first, second):
        middle = date.fromordinal(start.toordinal() + first)
        end = date.fromordinal(middle.toordinal() + second)
        for convention in ("ACT/360", "ACT/365F"):
            whole = year_fraction(start, end, convention)
            assert whole == year_fraction(start, middle, convention) + year_fraction(middle, end, convention)
