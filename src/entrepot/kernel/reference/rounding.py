"""Rounding that is said aloud, and splitting that conserves the total."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

Rounding = Literal["half_even", "half_up", "down", "up"]


def round_to(value: Fraction | int, mode: Rounding = "half_even") -> int:
    """The integer next to a fraction; the mode is part of every rule that uses it.

    `down` goes towards zero, `up` away from it, `half_up` takes a half away from zero (四舍五入).

    >>> [round_to(Fraction(5, 2), mode) for mode in ("half_even", "half_up", "down", "up")]
    [2, 3, 2, 3]
    """
    value = Fraction(value)
    size, rest = divmod(abs(value.numerator), value.denominator)
    if rest:
        beyond_half = 2 * rest - value.denominator
        if mode == "half_even":
            size += beyond_half > 0 or (beyond_half == 0 and size % 2 == 1)
        else:
            size += mode == "up" or (mode == "half_up" and beyond_half >= 0)
    return -size if value < 0 else size


def round_multiple(value: Fraction | int, step: int, mode: Rounding = "half_even") -> int:
    """The multiple of `step` next to a value, such as whole fen of a price in a hundredth of them."""
    if step <= 0:
        raise ValueError("a step is above zero")
    return round_to(Fraction(value) / step, mode) * step


def allocate(total: int, weights: Sequence[int]) -> list[int]:
    """Split an integer by weights, the parts summing to it exactly (largest remainder; earlier parts first).

    A part is never more than one unit away from its exact share. Raises ValueError for no positive weight or a negative
    one.

    >>> allocate(100, [1, 1, 1])
    [34, 33, 33]
    """
    whole = sum(weights)
    if whole <= 0 or min(weights) < 0:
        raise ValueError("weights must be zero or more, and one above zero")
    sign, size = (-1, -total) if total < 0 else (1, total)
    parts = [size * weight // whole for weight in weights]
    rests = sorted(range(len(weights)), key=lambda i: (-(size * weights[i] % whole), i))
    for index in rests[: size - sum(parts)]:
        parts[index] += 1
    return [sign * part for part in parts]
