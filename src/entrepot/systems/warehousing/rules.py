"""Pure rules of custody: what a level means in kilograms, and whether book and sensor agree."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

MAX_KG = 10**12  # of one command
STANDARD_TEMPERATURE_C = 20.0
# ASTM D1250-80 / ISO 91-1, Tables 53A and 54A, crude oils: K0 of alpha = K0/rho², rho the density at 15 °C.
_K0_CRUDE = 613.97226


@dataclass(frozen=True, slots=True)
class Sensed:
    """What a tank holds by its gauge: kilograms of product and what they were computed from."""

    kilograms: int
    litres_gross: int
    litres_water: int
    litres_20: int
    level_mm: int
    water_mm: int
    temperature_c: float
    density_kg_m3: float


def litres_at(strapping: Sequence[Sequence[int]], level_mm: float) -> float:
    """Litres at a level by linear interpolation in the tank's strapping table ([level mm, litres], ascending).

    Levels outside the table count as its ends. ISO 7507 gives the table; between its lines it is read linearly.

    >>> litres_at([[0, 0], [1000, 50_000]], 250)
    12500.0
    """
    if level_mm <= strapping[0][0]:
        return float(strapping[0][1])
    for (low, below), (high, above) in itertools.pairwise(strapping):
        if level_mm <= high:
            return below + (above - below) * (level_mm - low) / (high - low)
    return float(strapping[-1][1])


def volume_correction(density_15_kg_m3: float, temperature_c: float, reference_c: float = 15.0) -> float:
    """The factor from volume at `temperature_c` to volume at `reference_c` for crude oil.

    API MPMS 11.1 (ASTM D1250-80, Table 54A): VCF = exp(-a·dt·(1 + 0.8·a·dt)), a = K0/rho², K0 = 613.97226 for crude,
    rho in kg/m³ at 15 °C, dt the difference to 15 °C; for another reference the quotient of two factors.
    """

    def to_15(temperature: float) -> float:
        alpha = _K0_CRUDE / density_15_kg_m3**2
        delta = temperature - 15.0
        return math.exp(-alpha * delta * (1 + 0.8 * alpha * delta))

    return to_15(temperature_c) / to_15(reference_c)


def density_at_15(density_kg_m3: float, temperature_c: float) -> float:
    """Density at 15 °C of a crude oil that has `density_kg_m3` at `temperature_c` (API MPMS 11.1, Table 53A).

    The factor needs the density that is sought, so it is found by substitution; each step shrinks the error more than
    tenfold. The density is a densitometer's: no correction for a glass hydrometer.
    """
    found = density_kg_m3
    for _ in range(12):
        found = density_kg_m3 / volume_correction(found, temperature_c)
    return found


def sense(
    strapping: Sequence[Sequence[int]], level_mm: float, water_mm: float, temperature_c: float, density_kg_m3: float
) -> Sensed:
    """The product in a tank: volume by the strapping table less free water, times the density, both at the tank's
    temperature.

    Kilograms are rounded down: a lender counts what is surely there. The volume at 20 °C, China's standard, is shown
    beside it.
    """
    gross = litres_at(strapping, level_mm)
    water = min(litres_at(strapping, water_mm), gross)
    net = gross - water
    to_20 = volume_correction(density_at_15(density_kg_m3, temperature_c), temperature_c, STANDARD_TEMPERATURE_C)
    return Sensed(
        kilograms=math.floor(net * density_kg_m3 / 1000),
        litres_gross=round(gross),
        litres_water=round(water),
        litres_20=round(net * to_20),
        level_mm=round(level_mm),
        water_mm=round(water_mm),
        temperature_c=temperature_c,
        density_kg_m3=density_kg_m3,
    )


def tolerance_kg(book_kg: int, tolerance_bp: int) -> int:
    """How far book and sensor may lie apart: a share of the book in basis points, rounded down."""
    return book_kg * tolerance_bp // 10_000


def supported(book_kg: int, sensed_kg: int, tolerance_bp: int) -> bool:
    """Whether what the sensor sees carries what the book says."""
    return sensed_kg >= book_kg - tolerance_kg(book_kg, tolerance_bp)


def agrees(book_kg: int, sensed_kg: int, tolerance_bp: int) -> bool:
    """Whether book and sensor agree in both directions; an empty book agrees with anything below 1,000 kg."""
    return abs(sensed_kg - book_kg) <= max(tolerance_kg(book_kg, tolerance_bp), 1_000)
