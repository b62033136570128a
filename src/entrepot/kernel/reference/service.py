"""Prices as integers with their source, and the tenant's calendars; what is pure stands beside."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from typing import Any

from entrepot.kernel.database import Scope
from entrepot.kernel.operations.canonical import canonical
from entrepot.kernel.operations.errors import Invalid, NotFound
from entrepot.kernel.reference.calendars import Calendar, YearNotice, calendar_named
from entrepot.kernel.reference.rounding import Rounding, round_to
from entrepot.kernel.reference.tables import calendar_notices, price_series, prices
from entrepot.kernel.reference.units import convert
from entrepot.kernel.reference.worktime import OFFICE, REGION, WorkingHours, working_deadline

NOTICES = "calendar_notices"
WRITTEN = "reference.prices_written"
Imported = dict[str, tuple[YearNotice, ...]]


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
    stale_days: int = 0

    def value_of(self, quantity: Fraction | int, unit: str, rounding: Rounding = "down") -> int:
        """What a quantity is worth, in minor units; a pledge rounds down.

        Raises Invalid where the units cannot meet: a price per tonne does not value a barrel.
        """
        return round_to(convert(quantity, unit, self.unit) * self.value, rounding)


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
        self._uow.set(self._uow.local, WRITTEN, True)
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
        return PricePoint(
            series_id, quoted, value, series.currency, series.unit, series.proxy, series.source, (day - quoted).days
        )

    def history(self, series_id: str, since: date, until: date) -> list[tuple[date, int]]:
        """(day, value) of a series, both days included."""
        rows = self._uow.fetch(
            "SELECT day, value FROM prices WHERE tenant = %s AND series = %s AND day BETWEEN %s AND %s ORDER BY day",
            (self._scope.tenant, series_id, since.isoformat(), until.isoformat()),
        )
        return [(date.fromisoformat(row[0]), row[1]) for row in rows]

    # --- calendars -------------------------------------------------------------------------------------------------

    def calendar(self, kind: str = "legal") -> Calendar:
        """The tenant's calendar: natural, legal, bank or exchange. Raises Invalid for an unknown one."""
        imported = self._imported()
        if not imported:
            return calendar_named(kind)
        years = {notice.year: notice for source in ("legal", kind) for notice in imported.get(source, ())}
        return calendar_named(kind, (years[year] for year in sorted(years)))

    def import_notice(self, notice: YearNotice, kind: str = "legal") -> None:
        """Record a yearly notice; one of the legal calendar rules the others too unless they have their own."""
        calendar_named(kind)
        tenant = self._scope.tenant
        dates = (canonical(sorted(day.isoformat() for day in days)) for days in (notice.days_off, notice.make_up))
        self._uow.upsert(calendar_notices, (tenant, kind, notice.year, *dates, notice.source, self._scope.now_us))
        imported = self._imported()
        others = tuple(known for known in imported.get(kind, ()) if known.year != notice.year)
        self._uow.set(self._memory(), tenant, {**imported, kind: (*others, notice)})

    def working_deadline(
        self, start: datetime, *, hours: float = 0, days: int = 0, calendar: str = "legal",
        office: WorkingHours = OFFICE,
    ) -> datetime:  # fmt: skip
        """When so many working hours or days after `start` have passed, by the tenant's calendar.

        Raises Invalid for a year without a notice.
        """
        return working_deadline(start, hours=hours, days=days, calendar=self.calendar(calendar), office=office)

    def _imported(self) -> Imported:
        """The notices that were imported, by calendar; read once, on PostgreSQL once a group of operations."""
        memory, tenant = self._memory(), self._scope.tenant
        known: Imported | None = memory.get(tenant)
        if known is None:
            known = {}
            rows = self._uow.read(
                "SELECT calendar, year, days_off, make_up, source FROM calendar_notices WHERE tenant = %s", (tenant,)
            )
            for kind, year, days_off, make_up, source in rows:
                dates = [frozenset(map(date.fromisoformat, json.loads(text))) for text in (days_off, make_up)]
                known[kind] = (*known.get(kind, ()), YearNotice(year, dates[0], dates[1], source))
            if not self._uow.read_only:  # a reader's snapshot may be older than what the writer has imported
                memory[tenant] = known
        return known

    def _memory(self) -> dict[Any, Any]:
        # One process owns a SQLite file, so what it has read stays true; elsewhere another worker may import.
        uow = self._uow
        memory: dict[Any, Any] = uow.database.caches if uow.dialect == "sqlite" else uow.local
        found: dict[Any, Any] = memory.setdefault(NOTICES, {})
        return found

    def _last(self, series_id: str, day: date, *, strictly: bool = False) -> tuple[date, int] | None:
        """Asked once for a group of operations, as long as none of them sets prices."""
        if self._uow.local.get(WRITTEN):
            return self._find_last(self._uow.fetch, series_id, day, strictly)  # staged prices must be seen
        known: dict[Any, tuple[date, int] | None] = self._uow.local.setdefault(f"last:{self._scope.tenant}", {})
        key = (series_id, day, strictly)
        if key not in known:
            known[key] = self._find_last(self._uow.read, series_id, day, strictly)
        return known[key]

    def _find_last(
        self, find: Callable[..., list[tuple[Any, ...]]], series_id: str, day: date, strictly: bool
    ) -> tuple[date, int] | None:
        rows = find(
            f"SELECT day, value FROM prices WHERE tenant = %s AND series = %s AND day {'<' if strictly else '<='} %s "
            "ORDER BY day DESC LIMIT 1",
            (self._scope.tenant, series_id, day.isoformat()),
        )
        return (date.fromisoformat(rows[0][0]), rows[0][1]) if rows else None
