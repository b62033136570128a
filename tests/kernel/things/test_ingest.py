"""Ingest on both databases: what is kept, what is put apart and why, and that nothing ever stops it."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrepot.kernel.database import Database
from entrepot.kernel.things import judgement as j
from entrepot.kernel.things import message as m
from entrepot.kernel.things.ingest import Ingest, Message
from entrepot.kernel.things.rules import Figure, Rule
from entrepot.kernel.things.store import QUARANTINE_BYTES, QUARANTINE_ROWS, TelemetryStore
from tests.kernel.things.support import MODEL, NOW_US, SECOND_US, TENANT, Register, device, message, seed, store_url
from tests.support.postgres import Databases

DAY_US = 86_400 * SECOND_US


@pytest.fixture
def store(database: Database) -> Iterator[TelemetryStore]:
    store = TelemetryStore(store_url(database), durable=False)
    yield store
    store.close()


@pytest.fixture
def ingest(store: TelemetryStore) -> Iterator[Ingest]:
    weak = j.Device("dev_weak", m.HMAC_SHA256, seed("dev_weak"), MODEL)
    register = Register(device("dev_a"), device("dev_b"), device("dev_old", retired=True), weak)
    ingest = Ingest(store, register, TENANT)
    yield ingest
    ingest.close()


def signed(seq: Any, at: Any = "2026-03-01T08:00:00Z", values: Any = None, name: str = "dev_a") -> Message:
    """A message whose signature holds, whatever it says."""
    topic = m.telemetry_topic(TENANT, name)
    body = {"seq": seq, "at": at, "values": {"level_mm": 1.0} if values is None else values}
    body["sig"] = m.sign(topic, body, m.ED25519, seed(name))
    return topic, json.dumps(body).encode(), NOW_US


def test_a_reading_is_kept_with_its_evidence(ingest: Ingest, store: TelemetryStore):
    result = ingest.ingest([message("dev_a", 1, level_mm=11_874.6, temperature_c=18.25)])
    assert (result.accepted, result.acks) == (1, {"dev_a": {"seq": 1}})
    reading = store.latest(TENANT, "dev_a")
    assert reading is not None
    assert (reading.seq, reading.at_us, reading.flags) == (1, NOW_US, 0)
    assert reading.values == {"level_mm": 11_874.6, "temperature_c": 18.25}
    key, topic = m.public_key(seed("dev_a")), m.telemetry_topic(TENANT, "dev_a")
    assert m.verify(topic, reading.body.encode(), reading.signature, m.ED25519, key)


def test_a_weak_device_signs_with_a_shared_key(ingest: Ingest, store: TelemetryStore):
    good = message("dev_weak", 1, suite=m.HMAC_SHA256)
    forged = message("dev_weak", 2, suite=m.HMAC_SHA256, key=b"x" * 32)
    result = ingest.ingest([good, forged])
    assert (result.accepted, dict(result.refused)) == (1, {"bad-signature": 1})


def test_duplicates_are_counted_and_acknowledged_again(ingest: Ingest, store: TelemetryStore):
    first = message("dev_a", 1)
    again = ingest.ingest([first, first])
    assert (again.accepted, again.duplicates, again.acks) == (1, 1, {"dev_a": {"seq": 1}})
    third = ingest.ingest([first])
    assert (third.accepted, third.duplicates, third.acks) == (0, 1, {"dev_a": {"seq": 1}})
    assert len(store.readings(TENANT, "dev_a")) == 1
    assert store.counts(TENANT) == {"accepted": 1, "duplicates": 2}


def test_a_gap_is_noted_and_may_be_filled_once(ingest: Ingest, store: TelemetryStore):
    result = ingest.ingest([message("dev_a", 1), message("dev_a", 4, NOW_US + 3)])
    assert result.acks == {"dev_a": {"seq": 4, "missing": [[2, 3]]}}
    result = ingest.ingest([message("dev_a", 2, NOW_US + 1)])
    assert result.acks == {"dev_a": {"seq": 4, "missing": [[3, 3]]}}
    flags = {reading.seq: reading.flags for reading in store.readings(TENANT, "dev_a")}
    assert flags == {1: 0, 2: j.FILLED, 4: j.AFTER_GAP}
    state = store.state(TENANT, "dev_a")
    assert (state.accepted, state.filled, state.gaps) == (3, 1, [(3, 3)])
    latest = store.latest(TENANT, "dev_a")
    assert latest is not None
    assert latest.seq == 4


def test_a_clone_is_found_out(ingest: Ingest, store: TelemetryStore):
    ingest.ingest([message("dev_a", 1, level_mm=100.0)])
    result = ingest.ingest([message("dev_a", 1, level_mm=90.0)])
    assert dict(result.refused) == {"cloned": 1}
    (kept,) = store.readings(TENANT, "dev_a")
    assert kept.values == {"level_mm": 100.0}
    (apart,) = store.quarantined(TENANT)
    assert (apart.reason, apart.device, apart.seq) == ("cloned", "dev_a", 1)


def test_clock_trouble_is_flagged_and_kept(ingest: Ingest, store: TelemetryStore):
    times = [NOW_US, NOW_US - 2 * DAY_US, NOW_US + DAY_US, NOW_US - SECOND_US, NOW_US + SECOND_US]
    batch = [(*message("dev_a", seq, at_us)[:2], NOW_US) for seq, at_us in enumerate(times, 1)]
    assert ingest.ingest(batch).accepted == 5
    flags = {reading.seq: reading.flags for reading in store.readings(TENANT, "dev_a")}
    assert flags == {1: 0, 2: j.LATE | j.CLOCK_BACK, 3: j.FUTURE, 4: 0, 5: 0}
    latest = store.latest(TENANT, "dev_a")
    assert latest is not None
    assert latest.seq == 5
    ingest.ingest([(*message("dev_a", 6, NOW_US + DAY_US)[:2], NOW_US)])
    latest = store.latest(TENANT, "dev_a")
    assert latest is not None
    assert latest.seq == 5  # one ahead of time never counts as the present


def test_a_sensor_out_of_its_range_is_flagged(ingest: Ingest, store: TelemetryStore):
    ingest.ingest([message("dev_a", 1, level_mm=99_999.0)])
    (reading,) = store.readings(TENANT, "dev_a")
    assert reading.flags == j.OUT_OF_RANGE


AT = "2026-03-01T08:00:00Z"
UNUSABLE: list[tuple[Any, Any, str]] = [
    ("yesterday", None, "bad-instant"),
    ("1970-01-01T00:00:00Z", None, "bad-instant"),
    (1_772_352_000, None, "bad-instant"),
    (AT, {}, "bad-values"),
    (AT, [1.0], "bad-values"),
    (AT, {"level_mm": "12"}, "bad-values"),
    (AT, {"level_mm": True}, "bad-values"),
    (AT, {"level_mm": [1]}, "bad-values"),
    (AT, {"level mm": 1.0}, "bad-values"),
    (AT, {f"v{n}": 1 for n in range(65)}, "bad-values"),
    (AT, {"pressure": 1.0}, "unknown-value"),
]


def test_what_a_device_signed_but_is_unusable_uses_up_its_number(ingest: Ingest, store: TelemetryStore):
    for number, (at, values, reason) in enumerate(UNUSABLE, 1):
        bad = signed(number, at, values)
        result = ingest.ingest([bad])
        assert (dict(result.refused), result.acks) == ({reason: 1}, {"dev_a": {"seq": number}})
        assert dict(ingest.ingest([bad]).refused) == {"replayed": 1}
    assert ingest.ingest([message("dev_a", len(UNUSABLE) + 1)]).accepted == 1
    assert store.state(TENANT, "dev_a").refused == 2 * len(UNUSABLE)


STRANGE = [
    (("entrepot/other/dev_a/telemetry", b"{}", NOW_US), "wrong-topic"),
    (("\0\ud800" * 400, b"{}", NOW_US), "wrong-topic"),
    ((m.telemetry_topic(TENANT, "dev_a"), b"x" * 100_000, NOW_US), "too-large"),
    ((m.telemetry_topic(TENANT, "dev_a"), b"\xff\0\xfe", NOW_US), "not-utf8"),
    ((m.telemetry_topic(TENANT, "dev_a"), b"{}{}", NOW_US), "not-json"),
    ((m.telemetry_topic(TENANT, "dev_a"), b"{}", NOW_US), "not-a-message"),
    ((m.telemetry_topic(TENANT, "dev_a"), b'{"seq":1,"at":"\\ud800","values":{},"sig":""}', NOW_US), "not-json"),
    (message("dev_nobody", 1), "unknown-device"),
    (message("dev_old", 1), "retired-device"),
    (message("dev_a", 1, key=seed("dev_b")), "bad-signature"),
    ((m.telemetry_topic(TENANT, "dev_b"), message("dev_a", 1)[1], NOW_US), "bad-signature"),
    ((m.telemetry_topic(TENANT, "dev_a"), b'{"seq":1,"at":"","values":{},"sig":""}', NOW_US), "bad-signature"),
]


def test_what_nobody_signed_leaves_no_trace_but_a_count(ingest: Ingest, store: TelemetryStore):
    expected: Counter[str] = Counter()
    for number, (bad, reason) in enumerate(STRANGE):
        seq = 2 * number + 1
        result = ingest.ingest([message("dev_b", seq), bad, message("dev_b", seq + 1)])
        assert (result.accepted, dict(result.refused)) == (2, {reason: 1})
        assert result.acks == {"dev_b": {"seq": seq + 1}}
        expected[reason] += 1
        apart = store.quarantined(TENANT)[0]
        assert (apart.reason, apart.size_bytes, apart.payload) == (reason, len(bad[1]), bad[1][:QUARANTINE_BYTES])
    assert store.counts(TENANT) == {"accepted": 2 * len(STRANGE), "duplicates": 0, **expected}
    assert store.states(TENANT).keys() == {"dev_b"}


def test_a_flood_of_rubbish_fills_a_ring_and_no_more(ingest: Ingest, store: TelemetryStore):
    topic = m.telemetry_topic(TENANT, "dev_a")
    for start in range(0, QUARANTINE_ROWS + 400, 350):
        ingest.ingest([(topic, f"{number}".encode(), NOW_US) for number in range(start, start + 350)])
    assert store.counts(TENANT)["not-a-message"] == 1400
    apart = store.quarantined(TENANT, 5000)
    assert len(apart) == QUARANTINE_ROWS
    assert (apart[0].payload, apart[0].number) == (b"1399", 1400)


def mangled() -> st.SearchStrategy[bytes]:
    """A good message with some bytes changed, cut or doubled."""
    good = message("dev_a", 1)[1]

    def mangle(places: list[tuple[int, int]], cut: int) -> bytes:
        raw = bytearray(good)
        for place, byte in places:
            raw[place % len(raw)] = byte
        return bytes(raw[: len(raw) - cut])

    changes = st.lists(st.tuples(st.integers(0, 999), st.integers(0, 255)), max_size=4)
    return st.builds(mangle, changes, st.integers(0, 9))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch=st.lists(st.binary(max_size=100) | st.text(max_size=50).map(str.encode) | mangled(), max_size=20))
def test_any_bytes_are_accounted_for(ingest: Ingest, store: TelemetryStore, batch: list[bytes]):
    before = sum(store.counts(TENANT).values())
    topic = m.telemetry_topic(TENANT, "dev_a")
    result = ingest.ingest([(topic, payload, NOW_US) for payload in batch])
    assert result.accepted + result.duplicates + result.refused.total() == len(batch)
    assert sum(store.counts(TENANT).values()) - before == len(batch)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_order_and_repetition_keeps_each_reading_once(ingest: Ingest, store: TelemetryStore, data: st.DataObject):
    start = store.state(TENANT, "dev_b").last_seq
    numbers = range(start + 1, start + 13)
    arrivals = data.draw(st.permutations([*numbers, *data.draw(st.lists(st.sampled_from(numbers), max_size=12))]))
    for size in (5, 7, 30):
        batch, arrivals = arrivals[:size], arrivals[size:]
        ingest.ingest([message("dev_b", seq, NOW_US + seq) for seq in batch])
    kept = [reading.seq for reading in store.readings(TENANT, "dev_b", limit=5000)]
    assert kept == list(range(1, numbers[-1] + 1))
    assert store.state(TENANT, "dev_b").gaps == []


def test_an_error_of_the_database_keeps_nothing_and_the_batch_can_be_given_again(
    ingest: Ingest, store: TelemetryStore, monkeypatch: pytest.MonkeyPatch
):
    from entrepot.kernel.things import store as module

    def fail(*arguments: Any) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(module.TelemetryTransaction, "put_state", fail)
        with pytest.raises(OSError, match="disk full"):
            ingest.ingest([message("dev_a", 1), ("x", b"", NOW_US)])
    assert (store.counts(TENANT), store.quarantined(TENANT)) == ({"accepted": 0, "duplicates": 0}, [])
    assert ingest.ingest([message("dev_a", 1)]).accepted == 1


def test_two_writers_on_postgresql_lose_and_double_nothing(postgres: Databases):
    url = postgres.create()  # SQLite has one writing process by design
    stores = [TelemetryStore(url, durable=False) for _ in range(2)]
    names = [f"dev_{n}" for n in range(4)]
    register = Register(*map(device, names))
    batches = [
        [message(name, seq, NOW_US + seq) for name in names for seq in range(start, start + 5)]
        for start in range(1, 61, 5)
    ]

    def write(store: TelemetryStore, order: list[list[Message]]) -> None:
        ingest = Ingest(store, register, TENANT, threads=1)
        for batch in order:
            ingest.ingest([*batch, ("rubbish", b"", NOW_US)])

    threads = [
        threading.Thread(target=write, args=(stores[0], batches)),
        threading.Thread(target=write, args=(stores[1], batches[::-1])),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stores[0].counts(TENANT) == {"accepted": 240, "duplicates": 240, "wrong-topic": 24}
    for name in names:
        assert [reading.seq for reading in stores[0].readings(TENANT, name)] == list(range(1, 61))
        assert stores[0].state(TENANT, name).gaps == []
    for store in stores:
        store.close()
    postgres.drop(url)


# --- rules inside ingest ---------------------------------------------------------------------------------------------


def test_alarms_turn_with_the_readings_and_wait_in_the_store(store: TelemetryStore):
    rules = (
        Rule("low", "below", "level_mm", limit=500.0, hysteresis=20.0),
        Rule("book", "book", "mass", limit=0.005),
    )
    books = lambda name, rule, values: Figure(values["level_mm"], 1000)  # noqa: E731
    ingest = Ingest(store, Register(device("dev_a", *rules)), TENANT, books)
    ingest.ingest([message("dev_a", 1, NOW_US, level_mm=1000.0), message("dev_a", 2, NOW_US + 1, level_mm=480.0)])
    # Out of order, ahead of time: kept, but they turn nothing.
    ingest.ingest([message("dev_a", 4, NOW_US + 3, level_mm=480.0), message("dev_a", 3, NOW_US + 2, level_mm=1000.0)])
    result = ingest.ingest([message("dev_a", 5, NOW_US + 4, level_mm=1000.0)])
    assert [(turn.rule, turn.seq, turn.turn) for turn in result.turns] == [
        ("low", 5, "cleared"),
        ("book", 5, "cleared"),
    ]
    pending = store.pending_turns(TENANT)
    assert [(turn.rule, turn.seq, turn.turn) for turn in pending] == [
        ("book", 2, "raised"), ("book", 5, "cleared"), ("low", 2, "raised"), ("low", 5, "cleared")]  # fmt: skip
    assert pending[0].detail == {"figure": -0.52, "limit": 0.005, "measured": 480.0, "booked": 1000.0}
    store.settled(TENANT, pending[:3])
    assert store.pending_turns(TENANT) == pending[3:]
    ingest.close()


def test_silence_turns_by_the_clock_and_ends_with_the_next_reading(store: TelemetryStore):
    rule = Rule("silent", "silent", window_s=30)
    ingest = Ingest(store, Register(device("dev_a", rule, registered_us=NOW_US), device("dev_b")), TENANT)
    assert ingest.tick(NOW_US + 29 * SECOND_US) == []
    (turn,) = ingest.tick(NOW_US + 30 * SECOND_US)
    assert (turn.device, turn.seq, turn.turn) == ("dev_a", 0, "raised")
    assert ingest.tick(NOW_US + 60 * SECOND_US) == []
    result = ingest.ingest([message("dev_a", 1, NOW_US + 61 * SECOND_US)])
    assert [(t.seq, t.turn) for t in result.turns] == [(1, "cleared")]
    assert len(ingest.tick(NOW_US + 200 * SECOND_US)) == 1
    ingest.started_us = NOW_US + 300 * SECOND_US
    ingest.close()


def test_nobody_is_silent_because_the_server_was_away(store: TelemetryStore):
    ingest = Ingest(store, Register(device("dev_a", Rule("silent", "silent", window_s=30))), TENANT)
    ingest.started_us = NOW_US
    assert ingest.tick(NOW_US + 29 * SECOND_US) == []
    assert len(ingest.tick(NOW_US + 31 * SECOND_US)) == 1
    ingest.close()


def test_readings_by_time(ingest: Ingest, store: TelemetryStore):
    ingest.ingest([message("dev_a", n, NOW_US + n * SECOND_US, level_mm=float(n)) for n in range(1, 11)])
    found = store.readings(TENANT, "dev_a", NOW_US + 3 * SECOND_US, NOW_US + 7 * SECOND_US)
    assert [reading.seq for reading in found] == [3, 4, 5, 6]
    assert [reading.seq for reading in store.readings(TENANT, "dev_a", limit=3, newest_first=True)] == [10, 9, 8]
    assert store.readings("other", "dev_a") == []
