"""What the operations on things answer, and how records become that."""

import binascii
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from entrepot.kernel.database.schema import from_us
from entrepot.kernel.operations import Answer
from entrepot.kernel.things.judgement import FLAG_NAMES
from entrepot.kernel.things.message import ED25519, ack_topic, command_topic, telemetry_topic
from entrepot.kernel.things.rules import Kind, Severity
from entrepot.kernel.things.service import Alarm, DeviceRecord
from entrepot.kernel.things.store import Reading


class ValueSpec(BaseModel):
    """One value that a device measures."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    unit: str = Field(min_length=1, max_length=32, description="UCUM code", examples=["mm", "Cel", "kg/m3"])
    minimum: float | None = Field(None, description="Below this the sensor itself is in doubt")
    maximum: float | None = None


class RuleSpec(BaseModel):
    """One alarm rule; see `entrepot.kernel.things.rules.Rule`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")
    kind: Kind
    value: str = Field("", max_length=64)
    limit: float = 0.0
    hysteresis: float = Field(0.0, ge=0)
    window_s: int = Field(0, ge=0, le=31_536_000)
    severity: Severity = "warning"
    title: tuple[str, str] = ("", "")


class DeviceView(Answer):
    """A device as those who have a relation to it see it."""

    id: str
    title: str
    title_zh: str
    owner: str
    custodian: str
    site: str
    suite: str
    public_key: str = Field(description="base64url; empty for a device with a shared key")
    values: dict[str, ValueSpec]
    rules: list[RuleSpec]
    telemetry_topic: str
    ack_topic: str
    command_topic: str
    registered_at: datetime
    retired_at: datetime | None


class DeviceList(Answer):
    """Devices by id."""

    devices: list[DeviceView]


class ReadingView(Answer):
    """A reading; `signed` and `signature` prove it without this server (base64url, see the MQTT form)."""

    seq: int
    at: datetime
    received_at: datetime
    values: dict[str, float]
    flags: list[str]
    signed: str
    signature: str


class Latest(Answer):
    """The newest reading of a device and where its sequence stands."""

    device_id: str
    reading: ReadingView | None
    last_seq: int
    accepted: int
    duplicates: int
    late: int
    refused: int
    missing: list[tuple[int, int]] = Field(description="Open ranges of numbers that were passed over")


class ReadingList(Answer):
    """Readings in order of time."""

    device_id: str
    readings: list[ReadingView]


class AlarmView(Answer):
    """An alarm of a device."""

    id: str
    device_id: str
    rule: str
    severity: str
    title: str
    title_zh: str
    raised_at: datetime
    raised_seq: int
    raised_by: dict[str, float]
    cleared_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str
    case_id: str


class AlarmList(Answer):
    """Alarms, newest first."""

    alarms: list[AlarmView]


class AlarmTurned(Answer):
    """The alarm that was raised or cleared; empty when there was none to clear."""

    id: str
    case_id: str


class Access(Answer):
    """How a device signs in at the embedded broker."""

    user: str
    password: str


class RefusedView(Answer):
    """A refused message, its payload cut to its first bytes (base64url)."""

    number: int
    received_at: datetime
    topic: str
    device_id: str
    reason: str
    size_bytes: int
    payload: str


class Inspection(Answer):
    """What came of the tenant's messages, and the newest refused ones."""

    counts: dict[str, int]
    refused: list[RefusedView]


# --- records into answers --------------------------------------------------------------------------------


def device_view(tenant: str, device: DeviceRecord) -> DeviceView:
    """A device as it is shown."""
    specs = {
        name: ValueSpec(
            unit=value.unit,
            minimum=None if value.minimum == -float("inf") else value.minimum,
            maximum=None if value.maximum == float("inf") else value.maximum,
        )
        for name, value in device.model.items()
    }
    return DeviceView(
        id=device.id,
        title=device.title,
        title_zh=device.title_zh,
        owner=device.owner,
        custodian=device.custodian,
        site=device.site,
        suite=device.suite,
        public_key=base64url(device.key) if device.suite == ED25519 else "",
        values=specs,
        rules=[RuleSpec(**rule.data()) for rule in device.rules],
        telemetry_topic=telemetry_topic(tenant, device.id),
        ack_topic=ack_topic(tenant, device.id),
        command_topic=command_topic(tenant, device.id),
        registered_at=from_us(device.registered_us),
        retired_at=from_us(device.retired_us) if device.retired_us else None,
    )


def reading_view(reading: Reading) -> ReadingView:
    """A reading as it is shown."""
    return ReadingView(
        seq=reading.seq,
        at=from_us(reading.at_us),
        received_at=from_us(reading.received_us),
        values=reading.values,
        flags=[name for bit, (name, _) in FLAG_NAMES.items() if reading.flags & bit],
        signed=reading.body,
        signature=base64url(reading.signature),
    )


def alarm_view(alarm: Alarm) -> AlarmView:
    """An alarm as it is shown."""
    return AlarmView(
        id=alarm.id,
        device_id=alarm.device,
        rule=alarm.rule,
        severity=alarm.severity,
        title=alarm.title,
        title_zh=alarm.title_zh,
        raised_at=from_us(alarm.raised_us),
        raised_seq=alarm.raised_seq,
        raised_by=dict(alarm.raised_by),
        cleared_at=from_us(alarm.cleared_us) if alarm.cleared_us else None,
        acknowledged_at=from_us(alarm.acknowledged_us) if alarm.acknowledged_us else None,
        acknowledged_by=alarm.acknowledged_by,
        case_id=alarm.case_id,
    )


def base64url(raw: bytes) -> str:
    """base64url without padding."""
    return binascii.b2a_base64(raw, newline=False).decode().replace("+", "-").replace("/", "_").rstrip("=")
