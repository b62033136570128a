"""The simulated tank and its gauge: physics, orders, and a process that never forgets a reading."""

from __future__ import annotations

import math
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.kernel.things.device import Outbox
from entrepot.kernel.things.message import ED25519, parse, public_key, signature_bytes, signed_json, verify
from entrepot.region.gauge import ORDERS, SCENARIOS, Gauge, Tank, ambient_c, options_from, parse_order, read_key


def test_level_follows_volume():
    tank = Tank(diameter_m=40.0, oil_m3=12_566.3706, water_m3=0.0, temperature_c=20.0)
    assert tank.area_m2 == pytest.approx(1256.637, abs=1e-3)  # π·20²
    assert tank.level_mm == pytest.approx(10_000.0, abs=0.01)
    assert tank.oil_kg == pytest.approx(12_566.3706 * 851.0)


def test_warm_oil_stands_higher_and_weighs_the_same():
    cold, warm = (Tank(water_m3=0.0, temperature_c=t) for t in (10.0, 30.0))
    assert warm.level_mm / cold.level_mm == pytest.approx(1 + 8.5e-4 * 20, rel=2e-4)
    assert warm.oil_now_m3 * warm.density_kg_m3 == pytest.approx(cold.oil_now_m3 * cold.density_kg_m3)


@given(st.floats(-5000, 5000), st.floats(0, 500), st.floats(0, 2000), st.lists(st.floats(0, 7200), max_size=30))
def test_a_tank_never_overflows_nor_holds_less_than_nothing(flow: float, leak: float, water: float, steps: list[float]):
    tank = Tank(flow_m3_h=flow, leak_m3_h=leak, water_flow_m3_h=water)
    for elapsed_s in steps:
        tank.step(elapsed_s, 12.0)
        assert tank.oil_m3 >= 0
        assert tank.level_mm <= tank.height_mm * 1.02  # what expands after filling stands a little higher


def test_drawing_off_takes_what_it_says():
    tank = Tank()
    before = tank.oil_m3
    tank.flow_m3_h = -600.0
    for _ in range(1800):
        tank.step(1.0, tank.temperature_c)
    assert before - tank.oil_m3 == pytest.approx(300.0)


def test_a_swap_for_water_leaves_the_level_and_raises_the_water():
    tank = Tank(temperature_c=20.0, water_flow_m3_h=400.0)
    level, water = tank.level_mm, tank.water_mm
    for _ in range(3600):
        tank.step(1.0, 20.0)
    assert tank.level_mm == pytest.approx(level, abs=0.01)
    assert tank.water_mm - water == pytest.approx(400_000 / tank.area_m2)


def test_noise_is_that_of_the_instruments():
    gauge = Gauge(Tank(), random.Random(1))
    levels = [gauge.measure()["level_mm"] for _ in range(2000)]
    mean = sum(levels) / len(levels)
    deviation = math.sqrt(sum((level - mean) ** 2 for level in levels) / len(levels))
    assert mean == pytest.approx(gauge.tank.level_mm, abs=0.1)
    assert deviation == pytest.approx(0.5, abs=0.1)


def test_a_frozen_gauge_repeats_itself_until_it_is_thawed():
    gauge = Gauge(Tank(flow_m3_h=1000.0), random.Random(1))
    gauge.obey("freeze", 0, 0)
    first = gauge.measure()
    gauge.tank.step(3600, 12.0)
    assert gauge.measure() == first
    gauge.obey("thaw", 0, 0)
    assert gauge.measure()["level_mm"] > first["level_mm"] + 100


def test_every_scenario_and_order_is_known():
    for scenario in SCENARIOS:
        Gauge(Tank(), random.Random(1)).begin(scenario, 0.0)
    for order in ORDERS:
        assert Gauge(Tank(), random.Random(1)).obey(order, 1.0, 0.0)
    assert not Gauge(Tank(), random.Random(1)).obey("explode", 1.0, 0.0)


@given(st.text())
def test_any_line_is_an_order_or_none(line: str):
    order = parse_order(line)
    assert order is None or (order[0] in ORDERS and math.isfinite(order[1]))


def test_orders():
    assert parse_order("draw 500") == ("draw", 500.0)
    assert parse_order("freeze") == ("freeze", 0.0)
    for wrong in ("", "draw x", "draw nan", "draw 1 2", "explode"):
        assert parse_order(wrong) is None


def test_the_air_is_coldest_before_dawn():
    hours = [ambient_c(hour * 3600) for hour in range(24)]
    assert min(hours) == pytest.approx(5.0, abs=0.2)
    assert max(hours) == pytest.approx(19.0, abs=0.2)


def test_keys(tmp_path: Path):
    seed = read_key(tmp_path / "keys" / "t7.key")
    assert read_key(tmp_path / "keys" / "t7.key") == seed
    assert (tmp_path / "keys" / "t7.key").stat().st_mode & 0o077 == 0
    (tmp_path / "short").write_bytes(b"x")
    with pytest.raises(ValueError, match="32-byte"):
        read_key(tmp_path / "short")


def test_the_outbox_keeps_what_is_missing_and_never_uses_a_number_twice(tmp_path: Path):
    box = Outbox(tmp_path / "box")
    for seq in range(1, 7):
        assert box.next_seq == seq
        box.put(seq, b"m%d" % seq, {})
    assert box.acknowledged(5, [(2, 3)]) == 3
    assert box.unsent(0, 10) == [(2, b"m2"), (3, b"m3"), (6, b"m6")]
    assert box.acknowledged(900, []) == 3  # the server knows more: this file was lost once
    assert box.next_seq == 901
    box.close()


def test_a_wrong_command_line_is_refused(capsys: pytest.CaptureFixture[str]):
    for arguments in ([], ["--tenant", "t", "--device", "d", "--key", "k", "--mqtt", "m", "--period", "0"]):
        with pytest.raises(SystemExit):
            options_from(arguments)
    capsys.readouterr()


def test_a_killed_gauge_goes_on_where_it_was_without_a_broker(tmp_path: Path):
    command = [sys.executable, "-m", "entrepot.region.gauge", "--tenant", "lanzhou", "--device", "dev_t7"]
    command += ["--key", str(tmp_path / "key"), "--mqtt", "mqtt://a:b@127.0.0.1:9", "--store", str(tmp_path / "box")]
    command += ["--period", "0.02", "--scenario", "drawing", "--speed", "1000"]
    for number in range(3):
        gauge = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        _until_kept(tmp_path / "box", 10 * (number + 1))
        gauge.send_signal(signal.SIGKILL if number < 2 else signal.SIGTERM)
        assert gauge.wait(10) == (-signal.SIGKILL if number < 2 else 0)
    box = Outbox(tmp_path / "box")
    rows = box.unsent(0, 100_000)
    box.close()
    assert [seq for seq, _ in rows] == list(range(1, len(rows) + 1))
    key, levels = public_key((tmp_path / "key").read_bytes()), []
    for _, payload in rows:
        message = parse(payload)
        signature = signature_bytes(message["sig"])
        assert signature is not None
        assert verify("entrepot/lanzhou/dev_t7/telemetry", signed_json(message), signature, ED25519, key)
        levels.append(message["values"]["level_mm"])
    assert levels[-1] < levels[0] - 1  # it remembered that it was being drawn off


def _until_kept(file: Path, count: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if file.exists():
            connection = sqlite3.connect(file)
            try:
                if connection.execute("SELECT COUNT(*) FROM outbox").fetchone()[0] >= count:
                    return
            except sqlite3.OperationalError:
                pass
            finally:
                connection.close()
        time.sleep(0.05)
    raise AssertionError("the gauge kept nothing")
