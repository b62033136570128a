"""The book of a gauge: the kilograms that the ledger says lie in its tank, whoever owns them."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache

from entrepot.kernel.database import Scope
from entrepot.kernel.ledger import Ledger
from entrepot.kernel.things.books import Book
from entrepot.systems.warehousing.rules import sense
from entrepot.systems.warehousing.stock import ISSUE

UNITS = {"mass_kg": 1.0, "mass_t": 1_000.0}
FLOOR = 10  # a gauge is some millimetres off whatever the level: of less than a tenth of the tank no share is taken


def tank_book(scope: Scope, device: str) -> Book | None:
    """The book of the tank that a gauge measures; None for a device that is no tank's."""
    rows = scope.uow.read(
        "SELECT custodian, asset, strapping, capacity_kg FROM wh_tanks WHERE tenant = %s AND device_id = %s "
        "ORDER BY id LIMIT 1",
        (scope.tenant, device),
    )
    if not rows:
        return None
    custodian, asset, strapping, capacity_kg = rows[0]
    ledger = Ledger(scope)
    booked = -ledger.balance(ledger.account(custodian, asset, ISSUE, may_go_negative=True)).posted
    return Book(float(booked), _Measure(strapping), UNITS, capacity_kg / FLOOR)


BOOKS = (tank_book,)


class _Measure:
    """Kilograms by the tank's strapping table; None where the gauge does not report what that needs."""

    def __init__(self, strapping: str) -> None:
        self._strapping = strapping

    def __call__(self, values: Mapping[str, float]) -> float | None:
        if not {"level_mm", "temperature_c", "density_kg_m3"} <= values.keys():
            return None
        table, water_mm = _table(self._strapping), values.get("water_mm", 0.0)
        return float(
            sense(table, values["level_mm"], water_mm, values["temperature_c"], values["density_kg_m3"]).kilograms
        )


@lru_cache(maxsize=256)
def _table(strapping: str) -> Sequence[Sequence[int]]:
    table: Sequence[Sequence[int]] = json.loads(strapping)
    return table
