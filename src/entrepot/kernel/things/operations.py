"""Operations on devices, readings and alarms. Telemetry itself comes in as batches: see `ingest` and `http`."""

import binascii
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from entrepot.kernel.database.schema import from_us, to_us
from entrepot.kernel.operations import (
    Context,
    Invalid,
    Request,
    Secret,
    own_party,
    owner_of,
    related,
)
from entrepot.kernel.things.judgement import ValueModel
from entrepot.kernel.things.message import ED25519, HMAC_SHA256
from entrepot.kernel.things.rules import Rule
from entrepot.kernel.things.service import RELATIONS
from entrepot.kernel.things.views import (
    Access,
    AlarmList,
    AlarmTurned,
    AlarmView,
    DeviceList,
    DeviceView,
    Inspection,
    Latest,
    ReadingList,
    RefusedView,
    RuleSpec,
    ValueSpec,
    alarm_view,
    base64url,
    device_view,
    reading_view,
)

EXAMPLE_KEY = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"  # the public key of RFC 8032, section 7.1, test 1
DEVICE_ID = Field(min_length=1, max_length=64, description="Id of the device", examples=["dev_tank7"])


# --- devices -------------------------------------------------------------------------------------------------------


class RegisterDevice(Request[DeviceView]):
    """Register a device with the key that it signs its readings with."""

    owner: str = Field(min_length=1, max_length=64, description="Your own party")
    title: tuple[str, str] = Field(description="Name in English and Chinese")
    values: dict[str, ValueSpec] = Field(min_length=1, max_length=64, description="What it measures")
    public_key: str = Field("", max_length=64, description="Ed25519 public key, base64url")
    shared_key: Secret[str] = Field("", max_length=128, description="base64url; only for a device too weak for Ed25519")
    custodian: str = Field("", max_length=64, description="The party that keeps what it measures")
    site: str = Field("", max_length=128, description="Place or tank")
    rules: list[RuleSpec] = Field(default=[], max_length=32)
    device_id: str = Field("", max_length=64, description="Begins with dev_; empty: one is made")


@RegisterDevice.command(
    "things.register_device",
    http="POST /devices",
    scope="things:register",
    title=("Register device", "登记设备"),
    phrases=("register a sensor", "登记一台设备"),
    relation=own_party("owner"),
    subject="id",
    example={
        "owner": "org_0",
        "title": ["Level gauge of tank 7", "7 号罐液位计"],
        "public_key": EXAMPLE_KEY,
        "values": {"level_mm": {"unit": "mm", "minimum": 0, "maximum": 20000}},
        "rules": [{"name": "silent", "kind": "silent", "window_s": 60, "title": ["Gauge is silent", "液位计失联"]}],
    },
)
def register_device(ctx: Context, request: RegisterDevice) -> DeviceView:
    """The public key becomes part of the event, and so of the chain; a shared key does not."""
    suite, key = _key(request.public_key, request.shared_key)
    identifier = ctx.things.register_device(
        request.owner,
        key,
        {name: _value_model(spec) for name, spec in request.values.items()},
        title=request.title,
        custodian=request.custodian,
        site=request.site,
        suite=suite,
        rules=_rules(request.rules),
        device_id=request.device_id,
    )
    return device_view(ctx.tenant, ctx.things.device(identifier))


class SetRules(Request[DeviceView]):
    """Replace the alarm rules of a device."""

    device_id: str = DEVICE_ID
    rules: list[RuleSpec] = Field(max_length=32)


@SetRules.command(
    "things.set_rules",
    http="PUT /devices/{device_id}/rules",
    scope="things:register",
    title=("Set alarm rules", "设置告警规则"),
    relation=owner_of("device_id"),
    example={
        "device_id": "dev_0",
        "rules": [{"name": "low", "kind": "below", "value": "level_mm", "limit": 500, "hysteresis": 20}],
    },
)
def set_rules(ctx: Context, request: SetRules) -> DeviceView:
    """Ingest follows within two seconds, in every process."""
    ctx.things.set_rules(request.device_id, _rules(request.rules))
    return device_view(ctx.tenant, ctx.things.device(request.device_id))


class ReplaceKey(Request[DeviceView]):
    """Register another key for a device that was serviced; its numbering goes on."""

    device_id: str = DEVICE_ID
    public_key: str = Field("", max_length=64)
    shared_key: Secret[str] = Field("", max_length=128)


@ReplaceKey.command(
    "things.replace_key",
    http="PUT /devices/{device_id}/key",
    scope="things:register",
    title=("Replace device key", "更换设备密钥"),
    relation=owner_of("device_id"),
    confirm=True,
    example={"device_id": "dev_0", "public_key": EXAMPLE_KEY},
)
def replace_key(ctx: Context, request: ReplaceKey) -> DeviceView:
    """Readings signed with the old key are refused from now on."""
    ctx.things.replace_key(request.device_id, *_key(request.public_key, request.shared_key))
    return device_view(ctx.tenant, ctx.things.device(request.device_id))


class RetireDevice(Request[DeviceView]):
    """Take no more readings from a device; what was read stays."""

    device_id: str = DEVICE_ID


@RetireDevice.command(
    "things.retire_device",
    http="DELETE /devices/{device_id}",
    scope="things:register",
    title=("Retire device", "停用设备"),
    relation=owner_of("device_id"),
    confirm=True,
    example={"device_id": "dev_0"},
)
def retire_device(ctx: Context, request: RetireDevice) -> DeviceView:
    """Final: a device that comes back is registered anew."""
    ctx.things.retire(request.device_id)
    return device_view(ctx.tenant, ctx.things.device(request.device_id))


class BrokerAccess(Request[Access]):
    """User name and password of a device at the embedded broker."""

    device_id: str = DEVICE_ID


@BrokerAccess.query(
    "things.broker_access",
    http="GET /devices/{device_id}/access",
    scope="things:register",
    title=("Broker access", "设备接入凭据"),
    relation=owner_of("device_id"),
    example={"device_id": "dev_0"},
)
def broker_access(ctx: Context, request: BrokerAccess) -> Access:
    """No password where an outside broker keeps its own users."""
    user, password = ctx.things.broker_access(request.device_id)
    return Access(user=user, password=password)


class ListDevices(Request[DeviceList]):
    """The devices that your party has a relation to."""

    limit: int = Field(200, ge=1, le=1000)


@ListDevices.query(
    "things.devices",
    http="GET /devices",
    scope="things:read",
    title=("Devices", "设备"),
    phrases=("list my sensors",),
    example={},
)
def list_devices(ctx: Context, request: ListDevices) -> DeviceList:
    """Owner, custodian, creditor, insurer or supervisor."""
    found = ctx.things.devices(_party(ctx), request.limit)
    return DeviceList(devices=[device_view(ctx.tenant, device) for device in found])


# --- readings --------------------------------------------------------------------------------------------------------


class GetLatest(Request[Latest]):
    """The newest reading of a device."""

    device_id: str = DEVICE_ID


@GetLatest.query(
    "things.latest",
    http="GET /devices/{device_id}/latest",
    scope="things:read",
    title=("Latest reading", "最新读数"),
    phrases=("what does the gauge say now",),
    relation=related("device_id", *RELATIONS),
    example={"device_id": "dev_0"},
)
def latest(ctx: Context, request: GetLatest) -> Latest:
    """With counts and gaps, so that silence and loss are seen too."""
    reading, state = ctx.things.latest(request.device_id), ctx.things.state(request.device_id)
    return Latest(
        device_id=request.device_id,
        reading=reading_view(reading) if reading else None,
        last_seq=state.last_seq,
        accepted=state.accepted,
        duplicates=state.duplicates,
        late=state.late,
        refused=state.refused,
        missing=state.gaps,
    )


class ListReadings(Request[ReadingList]):
    """Readings of a device in a span of time."""

    device_id: str = DEVICE_ID
    since: datetime | None = Field(None, description="With its offset; from the first reading on when absent")
    until: datetime | None = Field(None, description="Up to, not including")
    newest_first: bool = False
    limit: int = Field(500, ge=1, le=5000)


@ListReadings.query(
    "things.readings",
    http="GET /devices/{device_id}/readings",
    scope="things:read",
    title=("Readings", "历史读数"),
    relation=related("device_id", *RELATIONS),
    example={"device_id": "dev_0", "limit": 100},
)
def list_readings(ctx: Context, request: ListReadings) -> ReadingList:
    """Each with what the device signed."""
    since_us = 0 if request.since is None else _us(request.since, "since")
    until_us = 1 << 62 if request.until is None else _us(request.until, "until")
    found = ctx.things.readings(request.device_id, since_us, until_us, request.limit, newest_first=request.newest_first)
    return ReadingList(device_id=request.device_id, readings=[reading_view(reading) for reading in found])


class Inspect(Request[Inspection]):
    """What came of the tenant's telemetry, and the newest refused messages."""

    limit: int = Field(50, ge=1, le=1000)


@Inspect.query(
    "things.inspect",
    http="GET /inspection",
    scope="things:inspect",
    title=("Inspect telemetry", "遥测检视"),
    example={},
)
def inspect(ctx: Context, request: Inspect) -> Inspection:
    """For the operator."""
    refused = ctx.things.quarantined(request.limit)
    return Inspection(
        counts=ctx.things.counts(),
        refused=[
            RefusedView(
                number=one.number,
                received_at=from_us(one.received_us),
                topic=one.topic,
                device_id=one.device,
                reason=one.reason,
                size_bytes=one.size_bytes,
                payload=base64url(one.payload),
            )
            for one in refused
        ],
    )


# --- alarms ----------------------------------------------------------------------------------------------------------


class ListAlarms(Request[AlarmList]):
    """Alarms of one device, or of all devices that your party has a relation to."""

    device_id: str = Field("", max_length=64)
    open_only: bool = False
    limit: int = Field(100, ge=1, le=1000)


@ListAlarms.query(
    "things.alarms",
    http="GET /alarms",
    scope="things:read",
    title=("Alarms", "告警"),
    phrases=("which alarms are open",),
    relation=related("device_id", *RELATIONS, optional=True),
    example={},
)
def list_alarms(ctx: Context, request: ListAlarms) -> AlarmList:
    """Newest first."""
    party = None if request.device_id else _party(ctx)
    found = ctx.things.alarms(request.device_id, party=party, open_only=request.open_only, limit=request.limit)
    return AlarmList(alarms=[alarm_view(alarm) for alarm in found])


class AcknowledgeAlarm(Request[AlarmView]):
    """Say that you have seen an alarm."""

    device_id: str = DEVICE_ID
    alarm_id: str = Field(min_length=1, max_length=64, examples=["alm_0"])
    note: str = Field("", max_length=2000)


@AcknowledgeAlarm.command(
    "things.acknowledge_alarm",
    http="POST /devices/{device_id}/alarms/{alarm_id}/acknowledgement",
    scope="things:acknowledge",
    title=("Acknowledge alarm", "确认告警"),
    relation=related("device_id", "owner", "custodian"),
    example={"device_id": "dev_0", "alarm_id": "alm_0", "note": "patrol is on its way"},
)
def acknowledge_alarm(ctx: Context, request: AcknowledgeAlarm) -> AlarmView:
    """Its case moves with it."""
    return alarm_view(ctx.things.acknowledge_alarm(request.device_id, request.alarm_id, request.note))


class RaiseAlarm(Request[AlarmTurned]):
    """Record that a rule's condition began; sent by ingest itself."""

    device_id: str = DEVICE_ID
    rule: str = Field(min_length=1, max_length=64)
    seq: int = Field(ge=0, le=(1 << 53) - 1, description="The reading that decided")
    at: datetime
    detail: dict[str, float] = Field(default={}, max_length=16)


@RaiseAlarm.command(
    "things.raise_alarm",
    http="POST /devices/{device_id}/alarms",
    scope="things:alarm",
    title=("Raise alarm", "发出告警"),
    subject="device_id",
    example={"device_id": "dev_0", "rule": "low", "seq": 7, "at": "2026-03-01T08:00:00Z", "detail": {"figure": 480.5}},
)
def raise_alarm(ctx: Context, request: RaiseAlarm) -> AlarmTurned:
    """Opens a case and tells the parties."""
    alarm = ctx.things.raise_alarm(request.device_id, request.rule, request.seq, _us(request.at, "at"), request.detail)
    return AlarmTurned(id=alarm.id, case_id=alarm.case_id)


class ClearAlarm(Request[AlarmTurned]):
    """Record that a rule's condition is over; sent by ingest itself."""

    device_id: str = DEVICE_ID
    rule: str = Field(min_length=1, max_length=64)
    seq: int = Field(ge=0, le=(1 << 53) - 1)
    at: datetime


@ClearAlarm.command(
    "things.clear_alarm",
    http="POST /devices/{device_id}/alarms/clearance",
    scope="things:alarm",
    title=("Clear alarm", "解除告警"),
    subject="device_id",
    example={"device_id": "dev_0", "rule": "low", "seq": 9, "at": "2026-03-01T08:05:00Z"},
)
def clear_alarm(ctx: Context, request: ClearAlarm) -> AlarmTurned:
    """The case stays open for a person to close."""
    alarm = ctx.things.clear_alarm(request.device_id, request.rule, request.seq, _us(request.at, "at"))
    return AlarmTurned(id=alarm.id if alarm else "", case_id=alarm.case_id if alarm else "")


# --- between the wire and the service ----------------------------------------------------------------------


def _party(ctx: Context) -> str | None:
    return None if ctx.actor.kind == "system" or "things:inspect" in ctx.actor.scopes else ctx.actor.party


def _us(moment: datetime, field: str) -> int:
    if moment.tzinfo is None:
        raise Invalid("things/instant", f"{field}: give the offset, for example 2026-03-01T08:00:00Z.")
    return to_us(moment)


def _key(public_key: str, shared_key: str) -> tuple[Literal["ed25519", "hmac-sha256"], bytes]:
    if bool(public_key) == bool(shared_key):
        raise Invalid("things/key", "Give either public_key (Ed25519) or shared_key (HMAC-SHA256).")
    text = public_key or shared_key
    try:
        raw = binascii.a2b_base64(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), strict_mode=True)
    except (binascii.Error, ValueError):
        raise Invalid("things/key", "The key is not base64url.") from None
    return (ED25519 if public_key else HMAC_SHA256), raw


def _value_model(spec: ValueSpec) -> ValueModel:
    bounds: dict[str, Any] = spec.model_dump(exclude_none=True)
    return ValueModel(**bounds)


def _rules(specs: list[RuleSpec]) -> tuple[Rule, ...]:
    try:
        return tuple(Rule(**spec.model_dump()) for spec in specs)
    except ValueError as error:
        raise Invalid("things/rules", f"{error}.") from None
