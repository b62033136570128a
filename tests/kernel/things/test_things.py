"""Devices, readings and alarms through the executor, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from entrepot.kernel.casework.operations import GetCase
from entrepot.kernel.database import Database
from entrepot.kernel.database.schema import from_us, to_us
from entrepot.kernel.events.tables import events  # noqa: F401 - the events table is read below
from entrepot.kernel.operations import Actor, Conflict, Forbidden, Invalid, ManualClock, NotFound, Refusal
from entrepot.kernel.things import operations as ops
from entrepot.kernel.things.alarming import command_of
from entrepot.kernel.things.message import HMAC_SHA256, public_key
from entrepot.kernel.things.views import DeviceView, RuleSpec, ValueSpec, base64url
from tests.kernel.things.support import NOW_US, SECOND_US, TENANT, Server, actor, message, seed

LOW = RuleSpec(name="low", kind="below", value="level_mm", limit=500, hysteresis=20, title=("Level is low", "液位过低"))


@pytest.fixture
def server(database: Database) -> Iterator[Server]:
    server = Server(database, ManualClock(datetime(2026, 3, 1, 8, tzinfo=UTC)))
    with server.executor:
        yield server
    server.telemetry.close()


def register(server: Server, name: str = "dev_t7", *rules: RuleSpec, owner: str = "org_owner") -> DeviceView:
    return server.executor.run(
        ops.RegisterDevice(
            owner=owner,
            title=("Gauge", "液位计"),
            public_key=base64url(public_key(seed(name))),
            values={"level_mm": ValueSpec(unit="mm", minimum=0, maximum=20_000)},
            custodian="org_keeper",
            rules=list(rules),
            device_id=name,
        ),
        actor(owner),
        f"register {name}",
    )


def refusal(server: Server, request: object, who: Actor) -> Refusal:
    with pytest.raises(Refusal) as caught:
        server.executor.run(request, who, f"{request}")  # type: ignore[arg-type]
    return caught.value


def event_texts(database: Database) -> str:
    with database.reader() as uow:
        return "\n".join(row[0] for row in uow.read("SELECT data FROM events"))


def test_a_device_is_registered_and_its_readings_are_seen_by_those_related(server: Server):
    device = register(server)
    assert device.telemetry_topic == "entrepot/lanzhou/dev_t7/telemetry"
    assert server.telemetry.ingest_now([message("dev_t7", 1, level_mm=1.5)]).accepted == 1
    for party in ("org_owner", "org_keeper"):
        latest = server.executor.run(ops.GetLatest(device_id="dev_t7"), actor(party))
        assert latest.reading is not None
        assert (latest.reading.values, latest.last_seq) == ({"level_mm": 1.5}, 1)
    assert isinstance(refusal(server, ops.GetLatest(device_id="dev_t7"), actor("org_other")), Forbidden)


def test_the_list_shows_each_party_its_own(server: Server):
    register(server, "dev_a")
    register(server, "dev_b", owner="org_second")

    def seen(who: Actor) -> list[str]:
        return [device.id for device in server.executor.run(ops.ListDevices(), who).devices]

    plain = Actor(TENANT, "per_2", "org_second", "person", frozenset({"things:read"}))
    assert seen(plain) == ["dev_b"]
    assert seen(actor()) == ["dev_a", "dev_b"]  # the operator's inspection sees all


def test_readings_by_time(server: Server):
    register(server)
    server.telemetry.ingest_now([message("dev_t7", n, NOW_US + n * SECOND_US) for n in range(1, 6)])
    request = ops.ListReadings(
        device_id="dev_t7", since=from_us(NOW_US + 2 * SECOND_US), until=from_us(NOW_US + 4 * SECOND_US)
    )
    assert [reading.seq for reading in server.executor.run(request, actor()).readings] == [2, 3]
    naive = ops.ListReadings(device_id="dev_t7", since=datetime(2026, 3, 1))  # noqa: DTZ001 - what a user may send
    assert isinstance(refusal(server, naive, actor()), Invalid)


def test_a_device_id_can_not_stand_for_another_object(server: Server):
    request = ops.RegisterDevice(
        owner="org_owner", title=("a", "b"), public_key=ops.EXAMPLE_KEY, values={"v": ValueSpec(unit="1")},
        device_id="rcp_somebody",
    )  # fmt: skip
    assert refusal(server, request, actor()).code == "things/device-id"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"public_key": ""}, "things/key"),
    ({"public_key": "AAAA"}, "things/key"),
    ({"public_key": "!!!!"}, "things/key"),
    ({"shared_key": "AAAAAAAAAAAAAAAAAAAAAAAA"}, "things/key"),
    ({"values": {"level mm": ValueSpec(unit="mm")}}, "things/model"),
    ({"values": {"v": ValueSpec(unit="mm", minimum=2, maximum=1)}}, "things/model"),
    ({"rules": [LOW]}, "things/rules"),
    ({"rules": [RuleSpec(name="r", kind="silent")]}, "things/rules"),
    ({"rules": [RuleSpec(name="r", kind="silent", window_s=5)] * 2}, "things/rules"),
]


def test_a_wrong_registration_is_refused(server: Server):
    values = {"v": ValueSpec(unit="1")}
    good = {"owner": "org_owner", "title": ("a", "b"), "public_key": ops.EXAMPLE_KEY, "values": values}
    for wrong, code in WRONG:
        request = ops.RegisterDevice(**{**good, **wrong})
        assert refusal(server, request, actor()).code == code


def test_registering_twice_or_for_another_party_is_refused(server: Server):
    register(server)
    with pytest.raises(Conflict):
        server.executor.run(
            ops.RegisterDevice(
                owner="org_owner", title=("a", "b"), public_key=ops.EXAMPLE_KEY, values={"v": ValueSpec(unit="1")},
                device_id="dev_t7",
            ),
            actor(),
            "again",
        )  # fmt: skip
    example = ops.RegisterDevice.operation.example if ops.RegisterDevice.operation else {}
    assert isinstance(refusal(server, ops.RegisterDevice.model_validate(example), actor()), Forbidden)


def test_a_shared_key_never_reaches_the_events(server: Server, database: Database):
    key = base64url(seed("dev_weak"))
    server.executor.run(
        ops.RegisterDevice(
            owner="org_owner", title=("a", "b"), shared_key=key, values={"level_mm": ValueSpec(unit="mm")},
            device_id="dev_weak",
        ),
        actor(),
        "weak",
    )  # fmt: skip
    assert server.telemetry.ingest_now([message("dev_weak", 1, suite=HMAC_SHA256)]).accepted == 1
    register(server)
    texts = event_texts(database)
    assert key not in texts
    assert base64url(public_key(seed("dev_t7"))) in texts  # the public key belongs on the chain


def test_ingest_follows_the_register_at_once(server: Server):
    assert dict(server.telemetry.ingest_now([message("dev_t7", 1)]).refused) == {"unknown-device": 1}
    register(server)
    assert server.telemetry.ingest_now([message("dev_t7", 1)]).accepted == 1
    new_key = ops.ReplaceKey(device_id="dev_t7", public_key=base64url(public_key(seed("new"))))
    server.executor.run(new_key, actor(), "key")
    batch = [message("dev_t7", 2), message("dev_t7", 3, key=seed("new"))]
    result = server.telemetry.ingest_now(batch)
    assert (result.accepted, dict(result.refused)) == (1, {"bad-signature": 1})
    server.executor.run(ops.RetireDevice(device_id="dev_t7"), actor(), "retire")
    assert dict(server.telemetry.ingest_now([message("dev_t7", 4, key=seed("new"))]).refused) == {"retired-device": 1}
    assert refusal(server, ops.RetireDevice(device_id="dev_t7"), actor()).code == "things/retired"


def test_the_broker_password_goes_to_the_owner_alone(server: Server):
    register(server)
    access = server.executor.run(ops.BrokerAccess(device_id="dev_t7"), actor())
    assert access.user == "lanzhou/dev_t7"
    assert len(access.password) == 43
    assert isinstance(refusal(server, ops.BrokerAccess(device_id="dev_t7"), actor("org_keeper")), Forbidden)


def test_an_alarm_is_raised_opens_a_case_is_seen_and_cleared(server: Server, database: Database):
    register(server, "dev_t7", LOW)
    server.telemetry.ingest_now([message("dev_t7", 1, level_mm=480.0)])
    assert server.telemetry.deliver(server.executor) == 1
    (alarm,) = server.executor.run(ops.ListAlarms(device_id="dev_t7"), actor("org_keeper")).alarms
    assert (alarm.rule, alarm.title, alarm.title_zh) == ("low", "Gauge: Level is low", "液位计：液位过低")
    assert (alarm.raised_seq, alarm.raised_by, alarm.cleared_at) == (1, {"figure": 480.0, "limit": 500.0}, None)
    seen = ops.AcknowledgeAlarm(device_id="dev_t7", alarm_id=alarm.id, note="on my way")
    assert server.executor.run(seen, actor("org_keeper"), "seen").acknowledged_by == "per_1"
    assert refusal(server, seen, actor()).code == "things/alarm-acknowledged"
    server.telemetry.ingest_now([message("dev_t7", 2, NOW_US + 1, level_mm=1000.0)])
    server.telemetry.deliver(server.executor)
    (alarm,) = server.executor.run(ops.ListAlarms(), actor("org_keeper")).alarms
    assert alarm.cleared_at is not None
    assert server.executor.run(ops.ListAlarms(open_only=True), actor("org_keeper")).alarms == []
    case = server.executor.run(GetCase(case_id=alarm.case_id), actor("org_keeper"))
    assert case.case.state == "acknowledged"
    assert sorted(entry.action for entry in case.history) == ["acknowledge", "note"]
    texts = event_texts(database)
    assert '"rule":"low"' in texts


def test_an_alarm_that_is_delivered_twice_is_one_alarm(server: Server):
    register(server, "dev_t7", LOW)
    server.telemetry.ingest_now([message("dev_t7", 1, level_mm=480.0)])
    (turn,) = server.telemetry.store.pending_turns(TENANT)
    system = Actor.system(TENANT, "things", frozenset({"things:alarm"}))
    # A crash after the command and before the store forgot the turn.
    server.executor.run(command_of(turn), system, "alarm:dev_t7:low:1:raised")
    assert server.telemetry.deliver(server.executor) == 1
    assert server.telemetry.deliver(server.executor) == 0
    assert len(server.executor.run(ops.ListAlarms(), actor()).alarms) == 1


def test_an_alarm_of_a_device_that_is_gone_does_not_block_the_others(server: Server):
    register(server, "dev_t7", LOW)
    server.telemetry.ingest_now([message("dev_t7", 1, level_mm=480.0)])
    from entrepot.kernel.things.store import AlarmTurn

    with server.telemetry.store.transaction(TENANT) as transaction:
        transaction.put_turn(AlarmTurn("dev_gone", "low", 1, "raised", NOW_US, {}))
    assert server.telemetry.deliver(server.executor) == 2
    assert len(server.executor.run(ops.ListAlarms(), actor()).alarms) == 1


def test_silence_raises_and_the_next_reading_clears(server: Server):
    register(server, "dev_t7", RuleSpec(name="silent", kind="silent", window_s=60))
    server.telemetry.tick(NOW_US + 59 * SECOND_US)
    assert server.telemetry.deliver(server.executor) == 0
    server.telemetry.tick(NOW_US + 60 * SECOND_US)
    assert server.telemetry.deliver(server.executor) == 1
    server.telemetry.ingest_now([message("dev_t7", 1, NOW_US + 61 * SECOND_US)])
    assert server.telemetry.deliver(server.executor) == 1
    (alarm,) = server.executor.run(ops.ListAlarms(), actor()).alarms
    assert alarm.cleared_at is not None
    assert to_us(alarm.raised_at) == NOW_US + 60 * SECOND_US


def test_rules_can_be_changed_by_the_owner_alone(server: Server):
    register(server)
    change = ops.SetRules(device_id="dev_t7", rules=[LOW])
    assert isinstance(refusal(server, change, actor("org_keeper")), Forbidden)
    server.executor.run(change, actor(), "rules")
    assert len(server.telemetry.ingest_now([message("dev_t7", 1, level_mm=480.0)]).turns) == 1


def test_refused_messages_are_inspected(server: Server):
    server.telemetry.ingest_now([("entrepot/lanzhou/dev_t7/telemetry", b"\xff", NOW_US)])
    found = server.executor.run(ops.Inspect(), actor())
    assert found.counts == {"accepted": 0, "duplicates": 0, "not-utf8": 1}
    assert [(one.reason, one.payload) for one in found.refused] == [("not-utf8", "_w")]


def test_unknown_devices_and_alarms(server: Server):
    register(server)
    server.executor.run(ops.GetLatest(device_id="dev_t7"), actor())
    unknown = ops.AcknowledgeAlarm(device_id="dev_t7", alarm_id="alm_none")
    assert isinstance(refusal(server, unknown, actor()), NotFound)
    system = Actor.system(TENANT, "things", frozenset({"things:read"}))
    assert isinstance(refusal(server, ops.GetLatest(device_id="dev_none"), system), NotFound)


def test_the_doors_of_all_operations_have_valid_examples(server: Server):
    for operation in server.executor.runtime.registry:
        if operation.system == "things":
            operation.request.model_validate(operation.example)


def test_concurrent_asyncio_callers(server: Server):
    register(server)

    async def ask() -> list[int]:
        batches = [[message("dev_t7", seq, NOW_US + seq)] for seq in range(1, 21)]
        await asyncio.gather(*(server.telemetry.ingest(batch) for batch in batches))
        latest = await server.executor.execute(ops.GetLatest(device_id="dev_t7"), actor())
        return [latest.last_seq, latest.accepted]

    assert asyncio.run(ask()) == [20, 20]
