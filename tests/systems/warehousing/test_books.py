"""Book rules end to end, on both databases: the gauge against the ledger's book of its tank, an alarm and its case."""

from pathlib import Path
from typing import Any

import pytest

from entrepot.kernel.casework import Cases
from entrepot.kernel.database import Scope
from entrepot.kernel.things import Figure, Rule
from entrepot.kernel.things.books import FRESH_US, DeviceBooks, book_sources
from entrepot.kernel.things.message import ED25519, encode, telemetry_topic
from entrepot.kernel.things.operations import SetRules
from entrepot.region.plan import DEVICE
from entrepot.region.replay import World
from entrepot.systems.warehousing.operations import GoodsIn, GoodsOut
from entrepot.systems.warehousing.queries import GetTank
from tests.generated.region import GAUGE_KEY, seeded

TANK, OWNER = "tk-101", "org_huanghe"
FULL_MM = 11_900.0
FULL = {"level_mm": FULL_MM, "temperature_c": 20.0, "density_kg_m3": 851.0, "water_mm": 15.0}
RULE: dict[str, Any] = {
    "name": "book", "kind": "book", "value": "mass_t", "limit": 0.02, "hysteresis": 0.005, "window_s": 20,
    "severity": "critical", "title": ("Gauge and book disagree", "账实不符"),
}  # fmt: skip


@pytest.fixture
def guarded(world: World) -> World:
    """All that the gauge sees is booked, and a rule compares them."""
    seen = world.cast.run("per_wang", GetTank(tank_id=TANK)).sensed_kg
    assert seen is not None
    book_in(world, seen)
    world.cast.run("per_wang", SetRules.model_validate({"device_id": DEVICE, "rules": [RULE]}))
    return world


def book_in(world: World, kilograms: int) -> None:
    world.cast.run("per_wang", GoodsIn(tank_id=TANK, owner=OWNER, quantity_kg=kilograms))


def book_out(world: World, kilograms: int) -> None:
    request = GoodsOut(tank_id=TANK, owner=OWNER, quantity_kg=kilograms, delivery_order="DO-1")
    world.cast.run("per_wang", request)


def watch(world: World, level_mm: float, seconds: int = 40) -> list[str]:
    """The gauge reports every ten seconds; which alarms are open after it, by the ledger-side register."""
    for _ in range(seconds // 10):
        world.clock.move_to_us(world.clock.now_us() + 10_000_000)
        world.read_gauge(level_mm)
    world.telemetry.deliver(world.executor)
    with world.database.reader() as uow:
        return [name for (name,) in uow.read("SELECT rule FROM alarms WHERE cleared_us = 0 ORDER BY id")]


def alarm_case(world: World) -> dict[str, Any]:
    with world.database.reader() as uow:
        rows = uow.read("SELECT tenant, case_id FROM alarms ORDER BY id DESC LIMIT 1")
        scope = Scope(uow, rows[0][0], world.clock.now_us(), None, str, "", lambda *_: None)  # type: ignore[arg-type]
        case = Cases(scope).get(rows[0][1])
        return {"type": case.type, "party": case.party, "state": case.state, **case.data}


def test_gauge_and_book_agree_and_nothing_is_said(guarded: World):
    assert watch(guarded, FULL_MM) == []
    assert watch(guarded, FULL_MM * 0.99) == []


def test_goods_booked_out_that_the_gauge_still_shows(guarded: World):
    assert watch(guarded, FULL_MM) == []
    book_out(guarded, 3_000_000)
    assert watch(guarded, FULL_MM, 10) == [], "the window has not passed"
    assert watch(guarded, FULL_MM) == ["book"]
    case = alarm_case(guarded)
    assert (case["type"], case["party"], case["state"]) == ("alarm", "org_cangchu", "open")
    assert (case["rule"], case["severity"]) == ("book", "critical")
    assert case["measured"] - case["booked"] == pytest.approx(3_000, rel=0.001), "tonnes, as the rule says"
    level_mm = FULL_MM * case["booked"] / case["measured"]
    assert watch(guarded, level_mm) == [], "the tanker has loaded"


def test_everything_booked_out_while_the_tank_is_full(guarded: World):
    book = guarded.cast.run("per_wang", GetTank(tank_id=TANK)).book_kg
    book_out(guarded, book)
    assert watch(guarded, FULL_MM) == ["book"]
    assert alarm_case(guarded)["booked"] == 0


def test_oil_that_vanishes(guarded: World):
    assert watch(guarded, FULL_MM) == []
    assert watch(guarded, FULL_MM * 0.9) == ["book"]
    case = alarm_case(guarded)
    assert case["figure"] == pytest.approx(-0.1, abs=0.005)
    assert case["measured"] < case["booked"]
    assert watch(guarded, FULL_MM) == []


def test_a_reading_that_comes_late_is_not_compared_with_the_book_of_today(guarded: World):
    assert watch(guarded, FULL_MM) == []
    before_us = guarded.clock.now_us()
    book_out(guarded, 3_000_000)
    guarded.clock.move_to_us(before_us + 3_600_000_000)
    topic = telemetry_topic("lanzhou", DEVICE)
    for minute in range(1, 6):  # what the gauge kept while the line was down
        guarded._seq += 1
        at_us = before_us + minute * 60_000_000
        payload = encode(topic, guarded._seq, at_us, FULL, ED25519, guarded._key)
        assert guarded.telemetry.ingest_now([(topic, payload, guarded.clock.now_us())]).turns == []
    assert watch(guarded, FULL_MM) == ["book"], "a fresh one is"


def test_a_book_that_cannot_be_read_stops_no_reading(guarded: World, monkeypatch: pytest.MonkeyPatch):
    def away(self: DeviceBooks, scope: Scope, device: str) -> None:
        raise OSError("the database is away")

    with monkeypatch.context() as broken:
        broken.setattr(DeviceBooks, "_read", away)
        assert watch(guarded, FULL_MM * 0.5) == []  # read_gauge asserts that each was accepted
    assert watch(guarded, FULL_MM * 0.5) == ["book"]


def test_a_book_is_read_once_in_some_seconds_and_only_for_who_has_a_rule(world: World):
    asked: list[str] = []

    def source(scope: Scope, device: str) -> None:
        asked.append(device)

    books = DeviceBooks(world.database, "lanzhou", (source,))
    now_us = world.clock.now_us()
    for step in range(10):
        books.refresh(["dev_a"], now_us + step * FRESH_US // 10)
    assert asked == ["dev_a"]
    books.refresh(["dev_a", "dev_b"], now_us + FRESH_US)
    assert asked == ["dev_a", "dev_a", "dev_b"]
    books.refresh([], now_us + 10 * FRESH_US)
    assert len(asked) == 3


def test_the_rule_s_unit_and_what_the_gauge_does_not_report(guarded: World):
    books = DeviceBooks(guarded.database, "lanzhou", book_sources(guarded.executor.runtime.registry))
    books.refresh([DEVICE, "dev_else"], guarded.clock.now_us())
    values = FULL
    tonnes, kilograms, other = (
        books.figure(DEVICE, Rule("b", "book", unit, limit=0.1), values) for unit in ("mass_t", "mass_kg", "mass")
    )
    assert tonnes is not None
    assert kilograms == other == Figure(tonnes.measured * 1000, tonnes.booked * 1000, tonnes.floor * 1000)
    rule = Rule("b", "book", "mass_t", limit=0.1)
    assert books.figure(DEVICE, rule, {"level_mm": FULL_MM}) is None
    assert books.figure(DEVICE, rule, {**values, "density_kg_m3": 0.0}) is None, "nonsense is no measurement"
    assert books.figure("dev_else", rule, values) is None


def test_the_application_brings_its_telemetry_the_books(database_url: str, tmp_path: Path):
    with seeded(database_url, tmp_path) as region:
        application = region.application
        region.cast.run("per_wang", SetRules.model_validate({"device_id": DEVICE, "rules": [{**RULE, "window_s": 0}]}))
        topic, now_us = telemetry_topic("lanzhou", DEVICE), region.clock.now_us()
        payload = encode(topic, 1_000, now_us, FULL, ED25519, GAUGE_KEY)
        (turn,) = application.telemetry.ingest_now([(topic, payload, now_us)]).turns
        assert (turn.rule, turn.turn, turn.detail["booked"]) == ("book", "raised", 10_000)
