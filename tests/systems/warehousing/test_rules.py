"""Rules of custody: interpolation, volume correction, agreement."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.systems.warehousing.rules import agrees, density_at_15, litres_at, sense, supported, volume_correction

TABLE = [[0, 0], [1_000, 50_000], [2_000, 120_000], [10_000, 900_000]]


def test_between_two_lines_of_the_table_it_is_read_linearly():
    assert litres_at(TABLE, 1_500) == 85_000
    assert litres_at(TABLE, -5) == 0
    assert litres_at(TABLE, 99_999) == 900_000


@given(st.floats(0, 10_000), st.floats(0, 10_000))
def test_more_level_is_never_less_oil(low: float, high: float):
    if low > high:
        low, high = high, low
    assert litres_at(TABLE, low) <= litres_at(TABLE, high)


def test_volume_correction_by_the_formula_of_the_standard():
    # API MPMS 11.1 (1980), crude oils: alpha = 613.97226/rho², VCF = exp(-alpha·dt·(1 + 0.8·alpha·dt)).
    # At 850 kg/m³ alpha is 0.00084979 a degree: ten degrees above 15 °C give exp(-0.00849789·1.00679831) = 0.991481.
    assert volume_correction(850.0, 25.0) == pytest.approx(0.991480, abs=2e-6)
    assert volume_correction(850.0, 15.0) == 1.0
    assert volume_correction(850.0, 20.0, 20.0) == 1.0


@given(st.floats(700, 950), st.floats(-20, 60))
def test_correction_there_and_back_is_nothing(density: float, temperature: float):
    there = volume_correction(density, temperature, 20.0)
    back = volume_correction(density, 20.0, temperature)
    assert there * back == pytest.approx(1.0, rel=1e-12)


@given(st.floats(650, 1_050), st.floats(-40, 90))
def test_the_density_at_15_degrees_gives_the_density_seen(density_15: float, temperature: float):
    seen = density_15 * volume_correction(density_15, temperature)
    assert density_at_15(seen, temperature) == pytest.approx(density_15, rel=1e-6)


def test_the_volume_at_20_degrees_is_corrected_with_the_density_at_15():
    # 850 kg/m³ at 15 °C: the factor is 0.991481 at 25 °C (above) and 0.995746 at 20 °C; 461.25 m³ are seen at 25 °C.
    seen = sense(TABLE, 5_500, 0, 25.0, 850 * 0.991481)
    assert seen.litres_20 == pytest.approx(461_250 * 0.991481 / 0.995746, abs=1)


def test_water_is_not_lent_against():
    dry = sense(TABLE, 5_000, 0, 20, 850)
    wet = sense(TABLE, 5_000, 1_000, 20, 850)
    assert dry.kilograms - wet.kilograms == pytest.approx(50_000 * 0.85, abs=1)
    assert sense(TABLE, 500, 5_000, 20, 850).kilograms == 0, "more water than liquid is no oil at all"


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 1_000))
def test_what_agrees_carries_the_book(book: int, sensed: int, tolerance_bp: int):
    if agrees(book, sensed, tolerance_bp) and book * tolerance_bp // 10_000 >= 1_000:
        assert supported(book, sensed, tolerance_bp)
