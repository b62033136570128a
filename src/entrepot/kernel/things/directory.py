"""The devices that ingest knows: read from the main database, remembered for two seconds or until one changes."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from entrepot.kernel.database import Database, UnitOfWork
from entrepot.kernel.things.judgement import Device, ValueModel
from entrepot.kernel.things.rules import Rule

FRESH_US = 2_000_000  # another process may retire a device: ingest here follows within this time
MAX_REMEMBERED = 200_000
CACHE = "things.changes"
_COLUMNS = "id, suite, key, model, rules, retired_us, registered_us"


class RegisteredDevices:
    """The directory of one tenant. For one thread."""

    def __init__(self, database: Database, tenant: str) -> None:
        self._database = database
        self._tenant = tenant
        self._known: dict[str, tuple[Device | None, int]] = {}
        self._listening: tuple[list[Device], int] | None = None
        self._changes = changes(database, tenant)

    def devices(self, names: Iterable[str], now_us: int) -> Mapping[str, Device]:
        """The registered devices among these names."""
        self._follow_changes()
        wanted = list(names)
        unsure = [name for name in wanted if not self._is_fresh(name, now_us)]
        if unsure:
            if len(self._known) + len(unsure) > MAX_REMEMBERED:
                self._known.clear()
                unsure = wanted
            self._load(unsure, now_us)
        return {name: device for name in wanted if (device := self._known[name][0]) is not None}

    def listening(self, now_us: int) -> list[Device]:
        """The devices that have a silence rule."""
        self._follow_changes()
        if self._listening is None or abs(now_us - self._listening[1]) >= FRESH_US:
            with self._database.reader() as uow:
                rows = uow.read(
                    f"SELECT {_COLUMNS} FROM devices WHERE tenant = %s AND listens = 1 AND retired_us = 0",
                    (self._tenant,),
                )
            self._listening = [_device(row) for row in rows], now_us
        return self._listening[0]

    def _is_fresh(self, name: str, now_us: int) -> bool:
        known = self._known.get(name)
        return known is not None and abs(now_us - known[1]) < FRESH_US

    def _follow_changes(self) -> None:
        count = changes(self._database, self._tenant)
        if count != self._changes:
            self._changes = count
            self._known.clear()
            self._listening = None

    def _load(self, names: list[str], now_us: int) -> None:
        found: dict[str, Device] = {}
        with self._database.reader() as uow:
            for start in range(0, len(names), 400):
                part = names[start : start + 400]
                rows = uow.read(
                    f"SELECT {_COLUMNS} FROM devices WHERE tenant = %s AND {uow.any_('id', len(part))}",
                    (self._tenant, *part),
                )
                found.update({row[0]: _device(row) for row in rows})
        for name in names:
            self._known[name] = found.get(name), now_us


def changes(database: Database, tenant: str) -> int:
    """How often devices of the tenant changed in this process."""
    return int(database.caches.setdefault(CACHE, {}).get(tenant, 0))


def note_change(uow: UnitOfWork, tenant: str) -> None:
    """Let the directories of this process look again, once the transaction is committed."""
    counts = uow.database.caches.setdefault(CACHE, {})

    def changed() -> None:
        counts[tenant] = counts.get(tenant, 0) + 1

    uow.on_commit(changed)


def model_from_json(text: str) -> dict[str, ValueModel]:
    """The model of a device: {"level_mm": {"unit": "mm", "minimum": 0, "maximum": 15000}}, bounds optional."""
    return {
        name: ValueModel(entry["unit"], entry.get("minimum", -math.inf), entry.get("maximum", math.inf))
        for name, entry in orjson.loads(text).items()
    }


def model_to_data(model: Mapping[str, ValueModel]) -> dict[str, Any]:
    """The model as JSON values; an absent bound is no bound."""
    return {
        name: {
            "unit": value.unit,
            **({"minimum": value.minimum} if math.isfinite(value.minimum) else {}),
            **({"maximum": value.maximum} if math.isfinite(value.maximum) else {}),
        }
        for name, value in model.items()
    }


def _device(row: tuple[Any, ...]) -> Device:
    identifier, suite, key, model, rules, retired_us, registered_us = row
    return Device(
        identifier,
        suite,
        bytes(key),
        model_from_json(model),
        tuple(Rule.from_data(rule) for rule in orjson.loads(rules)),
        bool(retired_us),
        registered_us,
    )
