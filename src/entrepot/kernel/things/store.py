"""The telemetry store: an own SQLite file, or own tables and connections on PostgreSQL. Committed before any ack."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import make_url, text
from sqlalchemy.exc import IntegrityError

from entrepot.kernel.database import UnitOfWork, open_database
from entrepot.kernel.things.judgement import FUTURE, DeviceState, Examined
from entrepot.kernel.things.rules import RuleState, Turn
from entrepot.kernel.things.telemetry_tables import (
    device_state,
    quarantine,
    readings,
    refusals,
    rule_state,
    telemetry_metadata,
    turns,
)

QUARANTINE_ROWS = 1_000
QUARANTINE_BYTES = 2_048
CHUNK = 400  # parameters in one IN list
_STATE = "device, last_seq, last_at_us, last_received_us, gaps, accepted, duplicates, filled, late, refused, given_up"
_READING = "device, seq, at_us, received_us, flags, body, signature"
_CREATE_LOCK = 0x656E7472  # any number, the same for all: PostgreSQL's advisory lock while tables are made


@dataclass(frozen=True, slots=True)
class Reading:
    """A committed reading. `body` and `signature` are what the device signed; see `message.verify`."""

    device: str
    seq: int
    at_us: int
    received_us: int
    flags: int
    body: str
    signature: bytes

    @property
    def values(self) -> dict[str, float]:
        """The measured values by name, in the units of the device's model."""
        return dict(orjson.loads(self.body)["values"])


@dataclass(frozen=True, slots=True)
class AlarmTurn:
    """An alarm that was raised or cleared by a reading (`seq`), or by the silence after it."""

    device: str
    rule: str
    seq: int
    turn: Turn
    at_us: int
    detail: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A refused message, its payload cut to its first bytes."""

    number: int
    received_us: int
    topic: str
    device: str
    seq: int
    reason: str
    size_bytes: int
    payload: bytes


class TelemetryStore:
    """Readings, device states, refused messages and pending alarms of every tenant in one database.

    `url` is any URL that `open_database` takes; on PostgreSQL it may be the main database: the tables are named apart
    and the connections are its own. Any number of processes may write on PostgreSQL, one on SQLite.
    """

    def __init__(self, url: str, *, durable: bool = True) -> None:
        self.database = open_database(url, durable=durable, pool_size=4)
        with self.database.gate, self.database.engine.begin() as connection:
            if self.database.dialect == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_CREATE_LOCK})"))
            telemetry_metadata.create_all(connection)

    def close(self) -> None:
        """Close every connection."""
        self.database.close()

    # --- writing ---------------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self, tenant: str) -> Iterator["TelemetryTransaction"]:
        """One durable transaction: committed when the block ends, nothing of it kept on an exception."""
        with self.database.unit() as uow:
            yield TelemetryTransaction(uow, tenant)

    def settled(self, tenant: str, done: Iterable[AlarmTurn]) -> None:
        """Forget turns that the main database has recorded."""
        with self.database.unit() as uow:
            for turn in done:
                uow.delete(turns, (tenant, turn.device, turn.rule, turn.seq, turn.turn))

    # --- reading ---------------------------------------------------------------------------------------------------

    def latest(self, tenant: str, device: str) -> Reading | None:
        """The reading with the highest number, None when there is none.

        One that was ahead of time is passed over: its age would be a lie, and goods would look freshly measured.
        """
        rows = self._read(
            f"SELECT {_READING} FROM telemetry_readings WHERE tenant = %s AND device = %s AND (flags & %s) = 0 "
            "ORDER BY seq DESC LIMIT 1",
            (tenant, device, FUTURE),
        )
        return _reading(rows[0]) if rows else None

    def readings(
        self, tenant: str, device: str, since_us: int = 0, until_us: int = 1 << 62, limit: int = 1000,
        *, newest_first: bool = False,
    ) -> list[Reading]:  # fmt: skip
        """Readings measured in since ≤ at < until, in order of time then number; at most `limit`."""
        order = "DESC" if newest_first else "ASC"
        rows = self._read(
            f"SELECT {_READING} FROM telemetry_readings "
            "WHERE tenant = %s AND device = %s AND at_us >= %s AND at_us < %s "
            f"ORDER BY at_us {order}, seq {order} LIMIT %s",
            (tenant, device, since_us, until_us, limit),
        )
        return [_reading(row) for row in rows]

    def state(self, tenant: str, device: str) -> DeviceState:
        """Sequence and counts of a device, all zero when it never spoke."""
        rows = self._read(f"SELECT {_STATE} FROM telemetry_devices WHERE tenant = %s AND device = %s", (tenant, device))
        return _state(rows[0]) if rows else DeviceState()

    def states(self, tenant: str) -> dict[str, DeviceState]:
        """Sequence and counts of every device that ever spoke."""
        rows = self._read(f"SELECT {_STATE} FROM telemetry_devices WHERE tenant = %s", (tenant,))
        return {row[0]: _state(row) for row in rows}

    def counts(self, tenant: str) -> dict[str, int]:
        """Messages of the tenant by what came of them: accepted, duplicates, and each refusal reason."""
        ((accepted, duplicates),) = self._read(
            "SELECT COALESCE(SUM(accepted), 0), COALESCE(SUM(duplicates), 0) FROM telemetry_devices WHERE tenant = %s",
            (tenant,),
        )
        refused = self._read(
            "SELECT reason, count FROM telemetry_refusals WHERE tenant = %s ORDER BY reason", (tenant,)
        )
        return {"accepted": int(accepted), "duplicates": int(duplicates), **dict(refused)}

    def quarantined(self, tenant: str, limit: int = 100) -> list[Quarantined]:
        """Refused messages, newest first."""
        rows = self._read(
            "SELECT number, received_us, topic, device, seq, reason, size_bytes, payload FROM telemetry_quarantine "
            "WHERE tenant = %s ORDER BY number DESC LIMIT %s",
            (tenant, limit),
        )
        return [Quarantined(*row) for row in rows]

    def pending_turns(self, tenant: str, limit: int = 200) -> list[AlarmTurn]:
        """Alarm turns that the main database may not have recorded yet, each rule's in the order they happened."""
        rows = self._read(
            # A clear by reading n comes before a raise by the silence after n.
            "SELECT device, rule, seq, turn, at_us, detail FROM telemetry_turns WHERE tenant = %s "
            "ORDER BY device, rule, seq, turn LIMIT %s",
            (tenant, limit),
        )
        return [
            AlarmTurn(device, rule, seq, turn, at_us, orjson.loads(detail))
            for device, rule, seq, turn, at_us, detail in rows
        ]

    def _read(self, sql: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with self.database.reader() as uow:
            return uow.read(sql, parameters)


class TelemetryTransaction:
    """What ingest reads and writes inside its one transaction."""

    def __init__(self, uow: UnitOfWork, tenant: str) -> None:
        self._uow = uow
        self._tenant = tenant

    def lock_states(self, devices: Collection[str]) -> dict[str, DeviceState]:
        """The states of these devices, held against other writers, in one order so that none waits for another."""
        wanted = sorted(devices)
        found = self._select_states(wanted)
        missing = [device for device in wanted if device not in found]
        if missing and self._uow.dialect == "postgresql":
            # A row must exist to be locked: two first messages of a device may meet in two processes.
            rows = ", ".join(["(%s, %s, 0, 0, 0, '[]', 0, 0, 0, 0, 0, 0)"] * len(missing))
            self._uow.execute(
                f"INSERT INTO telemetry_devices VALUES {rows} ON CONFLICT DO NOTHING",
                [part for device in missing for part in (self._tenant, device)],
            )
            found |= self._select_states(missing)
        return {device: found.get(device, DeviceState()) for device in wanted}

    def _select_states(self, devices: list[str]) -> dict[str, DeviceState]:
        suffix = " FOR UPDATE" if self._uow.dialect == "postgresql" else ""
        found = {}
        for chunk in _chunks(devices):
            rows = self._uow.read(
                f"SELECT {_STATE} FROM telemetry_devices WHERE tenant = %s AND {self._uow.any_('device', len(chunk))} "
                f"ORDER BY device{suffix}",
                (self._tenant, *chunk),
            )
            found.update({row[0]: _state(row) for row in rows})
        return found

    def put_state(self, device: str, state: DeviceState) -> None:
        """Stage a device's state."""
        gaps = orjson.dumps(state.gaps).decode()
        self._uow.upsert(
            device_state,
            (self._tenant, device, state.last_seq, state.last_at_us, state.last_received_us, gaps, state.accepted,
             state.duplicates, state.filled, state.late, state.refused, state.given_up),
        )  # fmt: skip

    def bodies(self, device: str, numbers: list[int]) -> dict[int, str]:
        """The signed bodies already kept under these numbers."""
        found: dict[int, str] = {}
        for chunk in _chunks(numbers):
            found.update(
                self._uow.read(
                    "SELECT seq, body FROM telemetry_readings WHERE tenant = %s AND device = %s AND "
                    + self._uow.any_("seq", len(chunk)),
                    (self._tenant, device, *chunk),
                )
            )
        return found

    def put_reading(self, message: Examined) -> None:
        """Stage an accepted reading."""
        self._uow.insert(
            readings,
            (self._tenant, message.device, message.seq, message.at_us, message.received_us, message.flags,
             message.body.decode(), message.signature),
        )  # fmt: skip

    def rule_states(self, devices: Collection[str]) -> dict[tuple[str, str], RuleState]:
        """What the rules of these devices remember, by device and rule."""
        found = {}
        for chunk in _chunks(sorted(devices)):
            rows = self._uow.read(
                "SELECT device, rule, state FROM telemetry_rules WHERE tenant = %s AND "
                + self._uow.any_("device", len(chunk)),
                (self._tenant, *chunk),
            )
            found.update({(row[0], row[1]): RuleState.from_data(orjson.loads(row[2])) for row in rows})
        return found

    def put_rule_state(self, device: str, rule: str, state: RuleState) -> None:
        """Stage what a rule remembers."""
        self._uow.upsert(rule_state, (self._tenant, device, rule, orjson.dumps(state.data()).decode()))

    def put_turn(self, turn: AlarmTurn) -> None:
        """Stage an alarm turn for the main database."""
        detail = orjson.dumps(dict(turn.detail)).decode()
        self._uow.upsert(turns, (self._tenant, turn.device, turn.rule, turn.seq, turn.turn, turn.at_us, detail))

    def refuse(self, messages: list[Examined]) -> None:
        """Count refused messages by reason, and keep the beginning of each in the ring."""
        if not messages:
            return
        tenant, uow = self._tenant, self._uow
        last_us = max(message.received_us for message in messages)
        for reason, count in sorted(Counter(message.reason for message in messages).items()):
            before = uow.lock(refusals, (tenant, reason))
            uow.upsert(refusals, (tenant, reason, count + (before[2] if before else 0), last_us))
        ((last,),) = uow.read("SELECT COALESCE(MAX(number), 0) FROM telemetry_quarantine WHERE tenant = %s", (tenant,))
        for number, message in enumerate(messages[-QUARANTINE_ROWS:], last + 1):
            uow.upsert(
                quarantine,
                (tenant, number % QUARANTINE_ROWS, number, message.received_us, _text(message.topic), message.device,
                 message.seq, message.reason, len(message.payload), message.payload[:QUARANTINE_BYTES]),
            )  # fmt: skip


def telemetry_url(url: str, main_url: str) -> str:
    """The URL of the telemetry store: `url` if given, else beside the main database.

    >>> telemetry_url("", "sqlite:////srv/entrepot.db")
    'sqlite:////srv/telemetry.sqlite'
    """
    if url:
        return url
    address = make_url(main_url)
    if address.get_backend_name() != "sqlite":
        return main_url
    folder = (address.database or "").rpartition("/")[0]
    return f"sqlite:///{folder}/telemetry.sqlite" if folder else "sqlite:///telemetry.sqlite"


def is_race(error: Exception) -> bool:
    """Whether two processes wrote the same row first: running the transaction again settles it."""
    return isinstance(error, IntegrityError) or type(error).__name__ in {"UniqueViolation", "IntegrityError"}


def _chunks(values: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]


def _text(topic: str) -> str:
    # PostgreSQL keeps no NUL in text, and a topic may be anything.
    return topic[:256].replace("\0", "�").encode("utf-8", "replace").decode("utf-8")


def _state(row: tuple[Any, ...]) -> DeviceState:
    gaps = [(first, last) for first, last in orjson.loads(row[4])]
    return DeviceState(row[1], row[2], row[3], gaps, *row[5:])


def _reading(row: tuple[Any, ...]) -> Reading:
    return Reading(*row)
