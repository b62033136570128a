"""Prices as integers with their source; calendars and units stand beside as pure functions."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from entrepot.kernel.database import Scope
from entrepot.kernel.operations.errors import Invalid, NotFound
from entrepot.kernel.reference.calendars import REGION
from entrepot.kernel.reference.tables import price_series, prices


@dataclass(frozen=True, slots=True)
class Series:
    """A price series. Values are minor units of `currency` per `unit`; `proxy` says for what it only stands in."""

    id: str
    title: str
    title_zh: str
    currency: str
    unit: str
    proxy: str
    source: str
    stale_days: int
    jump_limit_bp: int


@dataclass(frozen=True, slots=True)
class PricePoint:
    """A price of a day: `value` minor units of `currency` per `unit`; `proxy` is "" for the true thing."""

    series: str
    day: date
    value: int
    currency: str
    unit: str
    proxy: str
    source: str


class Reference:
    """The tenant's reference data."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._uow = scope.uow

    def define_series(self, series: Series) -> None:
        """Add or change a series."""
        self._uow.upsert(
            price_series,
            (self._scope.tenant, series.id, series.title, series.title_zh, series.currency, series.unit, series.proxy,
             series.source, series.stale_days, series.jump_limit_bp),
        )  # fmt: skip

    def series(self, series_id: str) -> Series:
        """One series. Raises NotFound."""
        row = self._uow.row(price_series, (self._scope.tenant, series_id))
        if row is None:
            raise NotFound("price/unknown-series", f"There is no price series {series_id!r}.")
        return Series(*row[1:])

    def all_series(self) -> list[Series]:
        """Every series, by id."""
        columns = ", ".join(column.name for column in price_series.columns)
        rows = self._uow.fetch(
            f"SELECT {columns} FROM price_series WHERE tenant = %s ORDER BY id", (self._scope.tenant,)
        )
        return [Series(*row[1:]) for row in rows]

    def set_prices(
        self, series_id: str, points: Iterable[tuple[date, int]], *, confirm_jump: bool = False, note: str = ""
    ) -> int:
        """Record daily prices; how many. A day that is known is replaced, and the note says why.

        Raises Invalid for a price of zero or less, for a day to come, and for a jump beyond the series' limit against
        the price before it unless a person confirms it.
        """
        series = self.series(series_id)
        today = self._scope.now.astimezone(REGION).date()
        before: int | None = None
        listed = sorted(points)
        if listed:
            known = self._last(series_id, listed[0][0], strictly=True)
            before = known[1] if known else None
        for day, value in listed:
            if value <= 0:
                raise Invalid("price/not-positive", f"{series_id} on {day}: a price is above zero.")
            if day > today:
                raise Invalid("price/future", f"{series_id} on {day}: this day has not come.")
            if before is not None and not confirm_jump:
                jump_bp = abs(value - before) * 10_000 // before
                if jump_bp > series.jump_limit_bp:
                    raise Invalid(
                        "price/jump",
                        f"{series_id} on {day}: {value} differs from {before} by {jump_bp / 100:.1f} %, more than "
                        f"{series.jump_limit_bp / 100:.0f} %. Confirm it if it is true.",
                        day=day.isoformat(), value=value, before=before,
                    )  # fmt: skip
            self._uow.upsert(prices, (self._scope.tenant, series_id, day.isoformat(), value, self._scope.now_us, note))
            before = value
        return len(listed)

    def price(self, series_id: str, at: date | None = None, *, allow_stale: bool = False) -> PricePoint:
        """The last price on or before a day (today by default).

        Raises NotFound where there is none, Invalid where the last one is older than the series allows.
        """
        series = self.series(series_id)
        day = at or self._scope.now.astimezone(REGION).date()
        found = self._last(series_id, day)
        if found is None:
            raise NotFound("price/none", f"{series_id} has no price on or before {day}.")
        quoted, value = found
        if not allow_stale and (day - quoted).days > series.stale_days:
            raise Invalid(
                "price/stale",
                f"The last price of {series_id} is of {quoted}, more than {series.stale_days} days before {day}.",
                day=quoted.isoformat(),
            )
        return PricePoint(series_id, quoted, value, series.currency, series.unit, series.proxy, series.source)

    def history(self, series_id: str, since: date, until: date) -> list[tuple[date, int]]:
        """(day, value) of a series, both days included."""
        rows = self._uow.fetch(
            "SELECT day, value FROM prices WHERE tenant = %s AND series = %s AND day BETWEEN %s AND %s ORDER BY day",
            (self._scope.tenant, series_id, since.isoformat(), until.isoformat()),
        )
        return [(date.fromisoformat(row[0]), row[1]) for row in rows]

    def _last(self, series_id: str, day: date, *, strictly: bool = False) -> tuple[date, int] | None:
        rows: list[tuple[Any, ...]] = self._uow.fetch(
            f"SELECT day, value FROM prices WHERE tenant = %s AND series = %s AND day {'<' if strictly else '<='} %s "
            "ORDER BY day DESC LIMIT 1",
            (self._scope.tenant, series_id, day.isoformat()),
        )
        return (date.fromisoformat(rows[0][0]), rows[0][1]) if rows else None
