"""Things: devices of the tenant, their readings, their alarms."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from entrepot.kernel.database import Scope
from entrepot.kernel.operations.canonical import canonical
from entrepot.kernel.operations.errors import Conflict, Invalid, NotFound, Unavailable
from entrepot.kernel.things.access import device_user
from entrepot.kernel.things.directory import model_from_json, model_to_data, note_change
from entrepot.kernel.things.judgement import DeviceState, ValueModel
from entrepot.kernel.things.message import DEVICE, ED25519, HMAC_SHA256, VALUE_NAME
from entrepot.kernel.things.rules import Rule
from entrepot.kernel.things.store import Quarantined, Reading, TelemetryStore
from entrepot.kernel.things.tables import alarms, devices

Title = tuple[str, str]
PREFIX = "dev_"  # an identifier of another kind can never be taken for a device, nor a device for a receipt
RELATIONS = ("owner", "custodian", "creditor", "insurer", "supervisor")
MAX_VALUES, MAX_RULES = 64, 32
_RELATED = "EXISTS (SELECT 1 FROM relations r WHERE r.tenant = {} AND r.object_id = {} AND r.party = %s)"


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """A registered device. `key` is public for Ed25519; it is never shown for HMAC."""

    id: str
    title: str
    title_zh: str
    owner: str
    custodian: str
    site: str
    suite: str
    key: bytes
    model: Mapping[str, ValueModel]
    rules: tuple[Rule, ...]
    registered_us: int
    retired_us: int


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm of a device; `cleared_us` and `acknowledged_us` are 0 until then."""

    id: str
    device: str
    rule: str
    severity: str
    title: str
    title_zh: str
    raised_us: int
    raised_seq: int
    raised_by: Mapping[str, float]
    cleared_us: int
    cleared_seq: int
    acknowledged_us: int
    acknowledged_by: str
    case_id: str


class Things:
    """The tenant's devices.

    Without a store (tests, tools) devices can be registered but nothing can be read. `password_of` gives the password
    of a user of the embedded broker; None where an outside broker has its own.
    """

    def __init__(
        self, scope: Scope, store: TelemetryStore | None = None, password_of: Callable[[str], str] | None = None
    ) -> None:
        self._scope = scope
        self._uow = scope.uow
        self._store = store
        self._password_of = password_of

    # --- devices ---------------------------------------------------------------------------------------------------

    def register_device(
        self, owner: str, key: bytes, model: Mapping[str, ValueModel], *, title: Title = ("", ""), custodian: str = "",
        site: str = "", suite: str = ED25519, rules: tuple[Rule, ...] = (), device_id: str = "",
    ) -> str:  # fmt: skip
        """Register a device; its id, which is also its place in the topic.

        `key`: the 32-byte Ed25519 public key, or a shared key of 16 to 64 bytes. Raises Invalid, Conflict.
        """
        identifier = device_id or self._scope.new_id("dev")
        if not DEVICE.fullmatch(identifier) or not identifier.startswith(PREFIX):
            raise Invalid("things/device-id", f"A device id is {PREFIX} and letters, digits, '.', '_' or '-'.")
        _check_key(suite, key)
        _check_model(model)
        _check_rules(rules, model)
        if self._uow.row(devices, (self._scope.tenant, identifier)) is not None:
            raise Conflict("things/device-exists", f"The device {identifier} is registered already.")
        self._uow.insert(
            devices,
            (self._scope.tenant, identifier, *title, owner, custodian, site, suite, key,
             canonical(model_to_data(model)), _rules_json(rules), _listens(rules), self._scope.now_us, 0),
        )  # fmt: skip
        self.relate(identifier, "owner", owner)
        if custodian:
            self.relate(identifier, "custodian", custodian)
        note_change(self._uow, self._scope.tenant)
        return identifier

    def relate(self, device_id: str, relation: str, party: str) -> None:
        """Let a party see the device as its custodian, creditor, insurer or supervisor."""
        from entrepot.kernel.parties import Relations

        assert relation in RELATIONS, f"{relation} is no relation to a device"
        Relations(self._scope).add(device_id, relation, party)

    def unrelate(self, device_id: str, relation: str, party: str) -> None:
        """End what `relate` began, for example when a pledge is released."""
        from entrepot.kernel.parties import Relations

        Relations(self._scope).end(device_id, relation, party)

    def retire(self, device_id: str) -> None:
        """Take no more readings from it; what was read stays. Raises NotFound, Conflict."""
        row = self._row(device_id, lock=True)
        if row[13]:
            raise Conflict("things/retired", f"The device {device_id} is retired already.")
        self._change(row, 13, self._scope.now_us)

    def replace_key(self, device_id: str, suite: str, key: bytes) -> None:
        """Register another key for a device that was serviced; its numbering goes on. Raises NotFound, Invalid."""
        _check_key(suite, key)
        row = self._row(device_id, lock=True)
        self._change((*row[:7], suite, *row[8:]), 8, key)

    def set_rules(self, device_id: str, rules: tuple[Rule, ...]) -> None:
        """Replace the alarm rules of a device. Raises NotFound, Invalid."""
        row = self._row(device_id, lock=True)
        _check_rules(rules, model_from_json(row[9]))
        self._change((*row[:11], _listens(rules), *row[12:]), 10, _rules_json(rules))

    def device(self, device_id: str) -> DeviceRecord:
        """One device. Raises NotFound."""
        return _record(self._row(device_id))

    def broker_access(self, device_id: str) -> tuple[str, str]:
        """User name and password of the device at the embedded broker; no password where the broker is an outside one.

        Raises NotFound.
        """
        self._row(device_id)
        user = device_user(self._scope.tenant, device_id)
        return user, self._password_of(user) if self._password_of else ""

    def devices(self, party: str | None = None, limit: int = 1000) -> list[DeviceRecord]:
        """Devices by id; `party` keeps those that the party has a relation to."""
        columns = ", ".join(f"d.{column.name}" for column in devices.columns)
        condition, parameters = "", [self._scope.tenant]
        if party is not None:
            condition = f" AND {_RELATED.format('d.tenant', 'd.id')}"
            parameters.append(party)
        rows = self._uow.fetch(
            f"SELECT {columns} FROM devices d WHERE d.tenant = %s{condition} ORDER BY d.id LIMIT {int(limit)}",
            parameters,
        )
        return [_record(row) for row in rows]

    # --- readings --------------------------------------------------------------------------------------------------

    def latest(self, device_id: str) -> Reading | None:
        """The newest reading, None before the first; asked once for a group of operations. Raises NotFound."""
        known: dict[str, Reading | None] = self._uow.local.setdefault(f"latest:{self._scope.tenant}", {})
        if device_id not in known:
            self._row(device_id)
            known[device_id] = self._readings_store().latest(self._scope.tenant, device_id)
        return known[device_id]

    def readings(
        self, device_id: str, since_us: int = 0, until_us: int = 1 << 62, limit: int = 1000, *,
        newest_first: bool = False,
    ) -> list[Reading]:  # fmt: skip
        """Readings measured in since ≤ at < until, at most `limit`. Raises NotFound."""
        self._row(device_id)
        return self._readings_store().readings(
            self._scope.tenant, device_id, since_us, until_us, limit, newest_first=newest_first
        )

    def state(self, device_id: str) -> DeviceState:
        """Sequence, gaps and counts. Raises NotFound."""
        self._row(device_id)
        return self._readings_store().state(self._scope.tenant, device_id)

    def counts(self) -> dict[str, int]:
        """Messages of the tenant by what came of them."""
        return self._readings_store().counts(self._scope.tenant)

    def quarantined(self, limit: int = 100) -> list[Quarantined]:
        """Refused messages, newest first."""
        return self._readings_store().quarantined(self._scope.tenant, limit)

    # --- alarms ----------------------------------------------------------------------------------------------------

    def raise_alarm(self, device_id: str, rule: str, seq: int, at_us: int, detail: Mapping[str, float]) -> Alarm:
        """Record an alarm, open its case and tell the parties; the open one where it is raised already."""
        from entrepot.kernel.casework import Cases
        from entrepot.kernel.notices import Notices
        from entrepot.kernel.parties import Relations

        device = self.device(device_id)
        known = self._open_alarm(device_id, rule)
        if known is not None:
            return known
        found = next((one for one in device.rules if one.name == rule), None)
        severity = found.severity if found else "warning"
        english, chinese = found.title if found else ("", "")
        title = (
            f"{device.title or device_id}: {english or rule}",
            f"{device.title_zh or device.title or device_id}：{chinese or english or rule}",
        )
        related = Relations(self._scope).of(device_id)
        identifier = self._scope.new_id("alm")
        case_id = Cases(self._scope).open(
            "alarm",
            device_id,
            title,
            party=device.custodian or device.owner,
            data={"alarm": identifier, "rule": rule, "seq": seq, "severity": severity, **detail},
            parties=tuple(pair for pair in related if pair[0] in RELATIONS),
        )
        row = (self._scope.tenant, identifier, device_id, rule, severity, *title, at_us, seq, canonical(dict(detail)),
               0, 0, 0, "", case_id)  # fmt: skip
        self._uow.insert(alarms, row)
        notices = Notices(self._scope)
        for party in sorted({party for relation, party in related if relation in RELATIONS}):
            notices.send(party, "alarm", title, _told(seq, detail), subject=device_id)
        return _alarm(row)

    def clear_alarm(self, device_id: str, rule: str, seq: int, at_us: int) -> Alarm | None:
        """Note that an alarm's condition is over; None where no such alarm is open. Its case stays for a person."""
        from entrepot.kernel.casework import Cases

        known = self._open_alarm(device_id, rule)
        if known is None:
            return None
        row = self._uow.lock(alarms, (self._scope.tenant, known.id))
        assert row is not None, "the alarm was just read"
        changed = (*row[:10], at_us, seq, *row[12:])
        self._uow.upsert(alarms, changed)
        Cases(self._scope).note(
            known.case_id, f"The condition is over since reading {seq}. 自第 {seq} 号读数起恢复正常。"
        )
        return _alarm(changed)

    def acknowledge_alarm(self, device_id: str, alarm_id: str, note: str = "") -> Alarm:
        """Record that a person has seen it. Raises NotFound, Conflict."""
        from entrepot.kernel.casework import Cases

        row = self._uow.lock(alarms, (self._scope.tenant, alarm_id))
        if row is None or row[2] != device_id:
            raise NotFound("things/alarm-unknown", f"There is no alarm {alarm_id} of {device_id}.")
        if row[12]:
            raise Conflict("things/alarm-acknowledged", f"{row[13]} has acknowledged it already.")
        changed = (*row[:12], self._scope.now_us, self._scope.actor_id, row[14])
        self._uow.upsert(alarms, changed)
        cases = Cases(self._scope)
        if cases.get(row[14]).state == "open":
            cases.act(row[14], "acknowledge", note)
        elif note:
            cases.note(row[14], note)
        return _alarm(changed)

    def alarms(
        self, device_id: str = "", *, party: str | None = None, open_only: bool = False, limit: int = 200
    ) -> list[Alarm]:
        """Alarms, newest first: of one device, of the devices that a party has a relation to, or all."""
        columns = ", ".join(f"a.{column.name}" for column in alarms.columns)
        conditions, parameters = ["a.tenant = %s"], [self._scope.tenant]
        if device_id:
            conditions.append("a.device = %s")
            parameters.append(device_id)
        if party is not None:
            conditions.append(_RELATED.format("a.tenant", "a.device"))
            parameters.append(party)
        if open_only:
            conditions.append("a.cleared_us = 0")
        rows = self._uow.fetch(
            f"SELECT {columns} FROM alarms a WHERE {' AND '.join(conditions)} ORDER BY a.id DESC LIMIT {int(limit)}",
            parameters,
        )
        return [_alarm(row) for row in rows]

    # --- inside ----------------------------------------------------------------------------------------------------

    def _open_alarm(self, device_id: str, rule: str) -> Alarm | None:
        columns = ", ".join(column.name for column in alarms.columns)
        rows = self._uow.fetch(
            f"SELECT {columns} FROM alarms WHERE tenant = %s AND device = %s AND rule = %s AND cleared_us = 0",
            (self._scope.tenant, device_id, rule),
        )
        return _alarm(rows[0]) if rows else None

    def _row(self, device_id: str, *, lock: bool = False) -> tuple[Any, ...]:
        key = (self._scope.tenant, device_id)
        row = self._uow.lock(devices, key) if lock else self._uow.row(devices, key)
        if row is None:
            raise NotFound("things/device-unknown", f"There is no device {device_id}.")
        return row

    def _change(self, row: tuple[Any, ...], place: int, value: Any) -> None:
        self._uow.upsert(devices, (*row[:place], value, *row[place + 1 :]))
        note_change(self._uow, self._scope.tenant)

    def _readings_store(self) -> TelemetryStore:
        if self._store is None:
            raise Unavailable("things/no-store", "This process has no telemetry store; ask the server.")
        return self._store


def _check_key(suite: str, key: bytes) -> None:
    if suite not in {ED25519, HMAC_SHA256}:
        raise Invalid("things/suite", f"{suite} is no signature suite; use {ED25519} or {HMAC_SHA256}.")
    if (suite == ED25519 and len(key) != 32) or not 16 <= len(key) <= 64:
        raise Invalid("things/key", "An Ed25519 public key has 32 bytes, a shared key 16 to 64.")


def _check_model(model: Mapping[str, ValueModel]) -> None:
    if not 1 <= len(model) <= MAX_VALUES:
        raise Invalid("things/model", f"A device measures 1 to {MAX_VALUES} values.")
    for name, value in model.items():
        if not VALUE_NAME.fullmatch(name):
            raise Invalid("things/model", f"{name!r} is no name of a value: letters, digits and '_', 64 at most.")
        if not value.minimum < value.maximum:
            raise Invalid("things/model", f"{name}: the range is empty.")


def _check_rules(rules: tuple[Rule, ...], model: Mapping[str, ValueModel]) -> None:
    if len(rules) > MAX_RULES or len({rule.name for rule in rules}) != len(rules):
        raise Invalid("things/rules", f"A device has at most {MAX_RULES} rules, each with its own name.")
    for rule in rules:
        if rule.kind not in {"silent", "book"} and rule.value not in model:
            raise Invalid("things/rules", f"{rule.name}: the device does not measure {rule.value!r}.")


def _rules_json(rules: tuple[Rule, ...]) -> str:
    return canonical([rule.data() for rule in rules])


def _listens(rules: tuple[Rule, ...]) -> int:
    return int(any(rule.kind == "silent" for rule in rules))


def _record(row: tuple[Any, ...]) -> DeviceRecord:
    rules = tuple(Rule.from_data(rule) for rule in orjson.loads(row[10]))
    return DeviceRecord(
        id=row[1], title=row[2], title_zh=row[3], owner=row[4], custodian=row[5], site=row[6], suite=row[7],
        key=bytes(row[8]), model=model_from_json(row[9]), rules=rules, registered_us=row[12], retired_us=row[13],
    )  # fmt: skip


def _alarm(row: tuple[Any, ...]) -> Alarm:
    return Alarm(
        id=row[1], device=row[2], rule=row[3], severity=row[4], title=row[5], title_zh=row[6], raised_us=row[7],
        raised_seq=row[8], raised_by=orjson.loads(row[9]), cleared_us=row[10], cleared_seq=row[11],
        acknowledged_us=row[12], acknowledged_by=row[13], case_id=row[14],
    )  # fmt: skip


def _told(seq: int, detail: Mapping[str, float]) -> Title:
    figures = ", ".join(f"{name} {value:.6g}" for name, value in detail.items())
    return (f"Reading {seq}: {figures}.", f"第 {seq} 号读数：{figures}。")
