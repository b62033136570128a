"""The replay gives the same output twice, and the figures that the prices of 2008 demand."""

from datetime import date
from io import StringIO

from rich.console import Console

from entrepot.region.replay import Course, replay_region


def run(facilities: int, seed: int = 2008) -> tuple[str, list[Course]]:
    """Output and courses of nine months."""
    out = StringIO()
    courses = replay_region(
        date(2008, 7, 1), date(2009, 3, 31), facilities=facilities, seed=seed, console=Console(file=out, width=120)
    )
    return out.getvalue(), courses


def test_twice_is_identical():
    first, second = run(1), run(1)
    assert first[0] == second[0]
    assert first[1] == second[1]


def test_the_crash_of_2008_calls_cures_and_sells():
    output, courses = run(3)
    # Lowest Brent of the winter in the EIA's series: 33.73 dollars on 26 December 2008.
    assert "lowest 2008-12-26 33.73" in output
    assert "proxy" in output
    for course in courses:
        assert course.calls >= 1, "from 140 to 34 dollars nobody is spared"
        assert course.cured <= course.calls
        assert course.disposals + course.releases >= 1, "every receipt ends with a buyer or back with its owner"
        assert all(ltv >= 0 for ltv in course.ltv)
