"""Daily Brent spot prices, packaged with `river`, as a proxy for stored crude.

Source: U.S. Energy Information Administration, series PET.RBRTE.D (public domain), dollars per barrel, 1987 to 2019.
They stand in for what a tonne of crude costs in Lanzhou: in yuan through the year's average official rate (World Bank,
PA.NUS.FCRF), per tonne through Brent's density of 835 kg/m³. A lender would use a local quotation; so the series says
"proxy" wherever it is shown.
"""

import csv
import functools
import importlib.util
from collections.abc import Mapping
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

from entrepot.kernel.operations.errors import Invalid, Unavailable
from entrepot.kernel.reference.rounding import round_to
from entrepot.kernel.reference.service import Series
from entrepot.kernel.reference.units import convert

BRENT_DENSITY_KG_M3 = 835
YUAN_PER_DOLLAR = {
    1999: "8.2783", 2000: "8.2785", 2001: "8.2771", 2002: "8.2770", 2003: "8.2770", 2004: "8.2768", 2005: "8.1943",
    2006: "7.9734", 2007: "7.6075", 2008: "6.9487", 2009: "6.8314", 2010: "6.7703", 2011: "6.4615", 2012: "6.3123",
    2013: "6.1958", 2014: "6.1434", 2015: "6.2275", 2016: "6.6445", 2017: "6.7588", 2018: "6.6160", 2019: "6.9084",
}  # fmt: skip
BRENT_CNY = Series(
    id="brent-cny-t",
    title="Brent spot, converted",
    title_zh="布伦特现货折算价",
    currency="CNY",
    unit="t",
    proxy="Brent crude in USD/bbl through yearly USD/CNY and 835 kg/m³: stands in for local crude",
    source="U.S. EIA PET.RBRTE.D (public domain), packaged with river",
    stale_days=10,
    jump_limit_bp=2_500,
)


@functools.cache
def brent_usd_per_barrel() -> Mapping[date, int]:
    """Brent spot prices by day, in cents of a dollar per barrel; read once, for a replay asks often.

    Raises Unavailable when the package is missing.
    """
    spec = importlib.util.find_spec("river")  # found, not imported: only its data file is wanted
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable("price/brent-missing", "The package river, which carries the Brent prices, is not installed.")
    file = Path(spec.submodule_search_locations[0]) / "drift" / "datasets" / "brent_crude_oil.csv"
    with file.open(newline="", encoding="utf-8") as lines:
        return MappingProxyType({_day(row["day"]): _cents(row["DPB"]) for row in csv.DictReader(lines)})


def _day(text: str) -> date:
    month, day, year = text.split("/")
    return date(int(year), int(month), int(day))


def _cents(dollars: str) -> int:
    return int(Decimal(dollars).scaleb(2).to_integral_value(ROUND_HALF_EVEN))


def yuan_per_tonne(cents_per_barrel: int, year: int) -> int:
    """Fen per tonne of a price in cents per barrel. Raises Invalid for a year without an exchange rate.

    >>> yuan_per_tonne(14_395, 2008)  # 3 July 2008, 143.95 dollars: 7,534.71 yuan a tonne
    753471
    """
    rate = YUAN_PER_DOLLAR.get(year)
    if rate is None:
        raise Invalid("price/no-rate", f"There is no exchange rate for {year}; known: 1999 to 2019.", year=year)
    barrels_per_tonne = convert(1, "t", "bbl", density_kg_m3=BRENT_DENSITY_KG_M3)
    return round_to(cents_per_barrel * barrels_per_tonne * Fraction(rate))


def brent_yuan_per_tonne(since: date, until: date) -> list[tuple[date, int]]:
    """(day, fen per tonne) of every quoted day in the span, both ends included."""
    return [
        (day, yuan_per_tonne(cents, day.year))
        for day, cents in sorted(brent_usd_per_barrel().items())
        if since <= day <= until
    ]
