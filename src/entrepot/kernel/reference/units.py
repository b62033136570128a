"""Units of quantity and their exact conversion."""

from fractions import Fraction

from entrepot.kernel.operations.errors import Invalid

LITRES_PER_BARREL = Fraction("158.987294928")
"""42 US gallons of 231 cubic inches, exactly (NIST SP 811, appendix B)."""
_TO_BASE = {
    "g": ("mass", Fraction(1, 1000)),
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

    Raises Invalid for units that are unknown or cannot meet.

    >>> convert(1, "t", "bbl", density_kg_m3=835) * 1000 // 1  # thousandths of a barrel in a tonne of Brent
    7532
    """
    try:
        kind, factor = _TO_BASE[source]
        other, divisor = _TO_BASE[target]
    except KeyError as unknown:
        raise Invalid("unit/unknown", f"Unknown unit {unknown.args[0]!r}; known: {', '.join(_TO_BASE)}.") from None
    base = Fraction(quantity) * factor
    if kind != other:
        if density_kg_m3 is None or density_kg_m3 <= 0:
            raise Invalid("unit/density", f"{source} to {target} needs a density above zero.")
        kg_per_litre = Fraction(density_kg_m3) / 1000
        base = base * kg_per_litre if kind == "volume" else base / kg_per_litre
    return base / divisor
