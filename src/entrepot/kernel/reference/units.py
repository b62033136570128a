"""Units and rounding, in exact integers and fractions."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

Rounding = Literal["half_even", "half_up", "down", "up"]

LITRES_PER_BARREL = Fraction("158.987294928")
"""42 US gallons of 231 cubic inches, exactly (NIST SP 811, appendix B)."""
MINOR_UNITS = {"CNY": 2, "USD": 2, "EUR": 2, "HKD": 2, "JPY": 0, "KWD": 3}
"""Decimal places of currencies (ISO 4217)."""
_TO_BASE = {
    "kg": ("mass", Fraction(1)),
    "t": ("mass", Fraction(1000)),
    "lb": ("mass", Fraction("0.45359237")),
    "L": ("volume", Fraction(1)),
    "m3": ("volume", Fraction(1000)),
    "bbl": ("volume", LITRES_PER_BARREL),
}


def convert(
    quantity: Fraction | int, source: str, target: str, *, density_kg_m3: Fraction | int | None = None
) -> Fraction:
    """A quantity in another unit, exactly; mass and volume need the density in kg/m³.

    Raises ValueError for units that are unknown or cannot meet.
    """
    try:
        kind, factor = _TO_BASE[source]
        other, divisor = _TO_BASE[target]
    except KeyError as unknown:
        raise ValueError(f"unknown unit {unknown.args[0]!r}; known: {', '.join(_TO_BASE)}") from None
    base = Fraction(quantity) * factor
    if kind != other:
        if density_kg_m3 is None or density_kg_m3 <= 0:
            raise ValueError(f"{source} to {target} needs a density above zero")
        kg_per_litre = Fraction(density_kg_m3) / 1000
        base = base * kg_per_litre if kind == "volume" else base / kg_per_litre
    return base / divisor


def round_to(value: Fraction | int, mode: Rounding = "half_even") -> int:
    """The integer next to a fraction; the mode is part of every rule that uses it.

    >>> [round_to(Fraction(5, 2), mode) for mode in ("half_even", "half_up", "down", "up")]
    [2, 3, 2, 3]
    """
    value = Fraction(value)
    floor, rest = divmod(value, 1)
    if rest == 0:
        return int(floor)
    if mode == "down":
        return int(floor) if value > 0 else int(floor) + 1
    if mode == "up":
        return int(floor) + 1 if value > 0 else int(floor)
    if rest == Fraction(1, 2):
        if mode == "half_even":
            return int(floor) + int(floor) % 2
        return int(floor) + 1 if value > 0 else int(floor)
    return int(floor) + (rest > Fraction(1, 2))


def allocate(total: int, weights: Sequence[int]) -> list[int]:
    """Split an integer by weights, the parts summing to it exactly (largest remainder; earlier parts first).

    Raises ValueError for no positive weight or a negative one.
    """
    whole = sum(weights)
    if whole <= 0 or min(weights) < 0:
        raise ValueError("weights must be zero or more, and one above zero")
    parts = [total * weight // whole for weight in weights]
    rests = sorted(range(len(weights)), key=lambda i: (-(total * weights[i] % whole), i))
    for index in rests[: total - sum(parts)]:
        parts[index] += 1
    return parts
