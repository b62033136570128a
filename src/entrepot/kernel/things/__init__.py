"""Devices and their telemetry: signed readings in, alarms and cases out.

Names are loaded when first used: a device, and the broker's process, take the message form without the database.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from entrepot.kernel.things.ingest import Ingest, Ingested
    from entrepot.kernel.things.judgement import Device, ValueModel
    from entrepot.kernel.things.rules import Figure, Rule
    from entrepot.kernel.things.service import Alarm, DeviceRecord, Things
    from entrepot.kernel.things.store import AlarmTurn, Reading, TelemetryStore
    from entrepot.kernel.things.telemetry import Telemetry

_HOMES = {
    "Alarm": "service",
    "AlarmTurn": "store",
    "Device": "judgement",
    "DeviceRecord": "service",
    "Figure": "rules",
    "Ingest": "ingest",
    "Ingested": "ingest",
    "Reading": "store",
    "Rule": "rules",
    "Telemetry": "telemetry",
    "TelemetryStore": "store",
    "Things": "service",
    "ValueModel": "judgement",
}

__all__ = [
    "Alarm",
    "AlarmTurn",
    "Device",
    "DeviceRecord",
    "Figure",
    "Ingest",
    "Ingested",
    "Reading",
    "Rule",
    "Telemetry",
    "TelemetryStore",
    "Things",
    "ValueModel",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
