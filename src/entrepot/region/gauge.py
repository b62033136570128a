"""A tank and its radar level gauge, simulated, as a process of its own that speaks only MQTT.

    python -m entrepot.region.gauge --tenant lanzhou --device dev_tank7 --key tank7.key \\
        --mqtt mqtt://user:password@127.0.0.1:1883 --store tank7.db --period 2 --scenario steady

`--key` names a file with the 32-byte Ed25519 seed (made if absent; the public key is printed). Orders come as JSON on
`entrepot/<tenant>/<device>/command`, or as lines on standard input (`draw 500`, `fill 800`, `stop`, `water 300`,
`freeze`, `thaw`, `silent 30`, `leak 20`, `status`); flows are in cubic metres an hour.

It measures `level_mm` (radar), `temperature_c`, `density_kg_m3` at tank temperature and `water_mm` (interface probe).
"""

import argparse
import asyncio
import json
import math
import os
import random
import signal
import sys
import time
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from entrepot.kernel.things.device import DeviceLink, Identity, Outbox
from entrepot.kernel.things.message import ED25519, public_key

HOUR_S = 3600.0
REFERENCE_C = 20.0  # Chinese standard volume is at 20 °C (GB/T 1884, GB/T 1885)
EXPANSION_PER_C = 8.5e-4  # crude oil of 851 kg/m³ at 15 °C: 613.97/ρ² (API MPMS 11.1, crude oils)
SCENARIOS = ("steady", "filling", "drawing", "leaking", "swapped", "frozen", "silent")
ORDERS = ("fill", "draw", "leak", "stop", "water", "freeze", "thaw", "silent", "status")


@dataclass(slots=True)
class Tank:
    """An upright cylinder with oil over a little water. Volumes in m³ at 20 °C, flows in m³/h, positive is in."""

    diameter_m: float = 40.0
    height_mm: float = 16_000.0
    oil_m3: float = 14_900.0
    water_m3: float = 25.0
    density_20_kg_m3: float = 851.0
    temperature_c: float = 24.0
    flow_m3_h: float = 0.0
    leak_m3_h: float = 0.0
    water_flow_m3_h: float = 0.0

    @property
    def area_m2(self) -> float:
        """Cross-section."""
        return math.pi * self.diameter_m**2 / 4

    @property
    def oil_now_m3(self) -> float:
        """Volume of the oil at tank temperature."""
        return self.oil_m3 * (1 + EXPANSION_PER_C * (self.temperature_c - REFERENCE_C))

    @property
    def level_mm(self) -> float:
        """Height of the surface over the datum plate."""
        return (self.oil_now_m3 + self.water_m3) / self.area_m2 * 1000

    @property
    def water_mm(self) -> float:
        """Height of the free water."""
        return self.water_m3 / self.area_m2 * 1000

    @property
    def density_kg_m3(self) -> float:
        """Density of the oil at tank temperature."""
        return self.density_20_kg_m3 / (1 + EXPANSION_PER_C * (self.temperature_c - REFERENCE_C))

    @property
    def oil_kg(self) -> float:
        """Mass of the oil."""
        return self.oil_m3 * self.density_20_kg_m3

    def step(self, elapsed_s: float, ambient_c: float) -> None:
        """Let time pass: flows within the tank's bounds, and the slow following of the air's temperature."""
        hours = elapsed_s / HOUR_S
        room_m3 = max(0.0, self.height_mm / 1000 * self.area_m2 - self.oil_now_m3 - self.water_m3)
        moved = min((self.flow_m3_h - self.leak_m3_h) * hours, room_m3)
        self.oil_m3 = max(0.0, self.oil_m3 + moved)
        # A swap: water is pumped in at the bottom while the same volume of oil leaves, so that the level stays.
        swapped = min(self.water_flow_m3_h * hours, self.oil_m3)
        self.oil_m3 -= swapped
        self.water_m3 += swapped
        self.temperature_c += (ambient_c - self.temperature_c) * (1 - math.exp(-hours / 60))


@dataclass(slots=True)
class Gauge:
    """The instrument on the tank, and what somebody may do to it."""

    tank: Tank
    chance: random.Random
    frozen: dict[str, float] = field(default_factory=dict)
    silent_until_s: float = 0.0

    def measure(self) -> dict[str, float]:
        """A reading with the noise of such instruments: radar ±0.5 mm, Pt100 ±0.05 °C, density ±0.1, probe ±1 mm."""
        if self.frozen:
            return dict(self.frozen)
        gauss, tank = self.chance.gauss, self.tank
        return {
            "level_mm": round(tank.level_mm + gauss(0, 0.5), 1),
            "temperature_c": round(tank.temperature_c + gauss(0, 0.05), 2),
            "density_kg_m3": round(tank.density_kg_m3 + gauss(0, 0.1), 2),
            "water_mm": round(max(0.0, tank.water_mm + gauss(0, 1.0)), 1),
        }

    def obey(self, order: str, figure: float, now_s: float) -> bool:
        """Carry out an order; False when there is no such one."""
        tank = self.tank
        if order == "fill":
            tank.flow_m3_h = abs(figure)
        elif order == "draw":
            tank.flow_m3_h = -abs(figure)
        elif order == "leak":
            tank.leak_m3_h = abs(figure)
        elif order == "water":
            tank.water_flow_m3_h = abs(figure)
        elif order == "stop":
            tank.flow_m3_h = tank.leak_m3_h = tank.water_flow_m3_h = 0.0
        elif order == "freeze":
            self.frozen = self.measure()
        elif order == "thaw":
            self.frozen = {}
        elif order == "silent":
            self.silent_until_s = now_s + (abs(figure) or 60.0)
        else:
            return order == "status"
        return True

    def begin(self, scenario: str, now_s: float) -> None:
        """Set a scene."""
        order, figure = {
            "filling": ("fill", 800.0),
            "drawing": ("draw", 600.0),
            "leaking": ("leak", 15.0),
            "swapped": ("water", 400.0),
            "frozen": ("freeze", 0.0),
            "silent": ("silent", HOUR_S),
        }.get(scenario, ("status", 0.0))
        self.obey(order, figure, now_s)


def ambient_c(now_s: float) -> float:
    """The air over a day in Lanzhou's spring: 5 °C before dawn, 19 °C in the afternoon (UTC + 7 solar time)."""
    hour = (now_s / HOUR_S + 7) % 24
    return 12.0 - 7.0 * math.cos((hour - 3.5) / 24 * 2 * math.pi)


def parse_order(line: str) -> tuple[str, float] | None:
    """An order with its figure from a line; None when it is none."""
    words = line.split()
    if not words or words[0] not in ORDERS or len(words) > 2:
        return None
    try:
        figure = float(words[1]) if len(words) == 2 else 0.0
    except ValueError:
        return None
    return (words[0], figure) if math.isfinite(figure) else None


class Process:
    """The gauge as a program: measures every period, obeys, remembers the tank over restarts."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._period_s: float = options.period
        self._speed: float = options.speed
        self._outbox = Outbox(options.store)
        remembered = self._outbox.recall("tank")
        self.gauge = Gauge(_tank(remembered, options), random.Random(options.seed))
        identity = Identity(options.tenant, options.device, ED25519, read_key(options.key))
        self._link = DeviceLink(identity, options.mqtt, self._outbox, self._command)
        if not remembered:
            self.gauge.begin(options.scenario, self._now_s())

    async def run(self, until: asyncio.Event) -> None:
        """Measure and send until told to end."""
        link = asyncio.create_task(self._link.run())
        loop = asyncio.get_running_loop()
        due, before_s = loop.time(), self._now_s()
        try:
            while not until.is_set():
                now_s = self._now_s()
                self.gauge.tank.step(max(0.0, now_s - before_s) * self._speed, ambient_c(now_s))
                before_s = now_s
                if now_s >= self.gauge.silent_until_s:
                    tank = json.dumps(asdict(self.gauge.tank))
                    self._link.measured(int(now_s * 1_000_000), self.gauge.measure(), {"tank": tank})
                due = max(due + self._period_s, loop.time())
                try:
                    async with asyncio.timeout_at(due):
                        await until.wait()
                except TimeoutError:
                    pass
                if link.done():
                    link.result()
        finally:
            link.cancel()
            await asyncio.gather(link, return_exceptions=True)
            self._outbox.close()

    def obey(self, line: str) -> str:
        """Carry out an order from standard input; what to answer."""
        order = parse_order(line)
        if order is None or not self.gauge.obey(*order, self._now_s()):
            return f"orders: {', '.join(ORDERS)}"
        return self.status()

    def status(self) -> str:
        """One line about tank and link."""
        tank = self.gauge.tank
        link = "connected" if self._link.connected else "not connected"
        return (
            f"level {tank.level_mm:.1f} mm, {tank.oil_kg / 1000:.1f} t oil, water {tank.water_mm:.0f} mm, "
            f"{tank.temperature_c:.1f} °C; {link}, {self._outbox.waiting()} readings waiting"
        )

    def _command(self, order: dict[str, Any]) -> None:
        name, figure = order.get("do"), order.get("figure", 0)
        if isinstance(name, str) and isinstance(figure, int | float) and math.isfinite(figure):
            self.gauge.obey(name, float(figure), self._now_s())

    @staticmethod
    def _now_s() -> float:
        return time.time()  # noqa: TID251 - a device outside has its own clock


def read_key(file: Path) -> bytes:
    """The device's Ed25519 seed, made on first use. Raises ValueError when the file is something else."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(os.urandom(32))
    seed = file.read_bytes()
    if len(seed) != 32:
        raise ValueError(f"{file} does not hold a 32-byte Ed25519 seed")
    return seed


def _tank(remembered: str, options: argparse.Namespace) -> Tank:
    if remembered:
        known = {one.name for one in fields(Tank)}
        return Tank(**{name: value for name, value in json.loads(remembered).items() if name in known})
    tank = Tank(diameter_m=options.diameter, height_mm=options.height, temperature_c=ambient_c(Process._now_s()))
    expansion = 1 + EXPANSION_PER_C * (tank.temperature_c - REFERENCE_C)
    tank.oil_m3 = max(0.0, options.level / 1000 * tank.area_m2 - tank.water_m3) / expansion
    return tank


def options_from(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="gauge", description="A simulated tank with its radar level gauge")
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--device", required=True, help="id that the device was registered under")
    parser.add_argument("--key", required=True, type=Path, help="file with the 32-byte Ed25519 seed; made if absent")
    parser.add_argument("--mqtt", required=True, help="mqtt://user:password@host:port, or - to read it from stdin")
    parser.add_argument("--store", type=Path, default=Path("gauge.db"), help="store-and-forward file")
    parser.add_argument("--period", type=float, default=2.0, help="seconds between readings")
    parser.add_argument("--speed", type=float, default=1.0, help="how many times faster the tank's time runs")
    parser.add_argument("--scenario", choices=SCENARIOS, default="steady")
    parser.add_argument("--diameter", type=float, default=40.0, help="metres")
    parser.add_argument("--height", type=float, default=16_000.0, help="millimetres")
    parser.add_argument("--level", type=float, default=11_900.0, help="millimetres at the first start")
    parser.add_argument("--seed", type=int, default=None, help="of the noise")
    parser.add_argument("--until-eof", action="store_true", help="end when standard input ends, as the parent does")
    options = parser.parse_args(arguments)
    if options.period <= 0:
        parser.error("--period is more than 0")
    return options


def _first_line() -> str:
    """The first line of standard input, byte by byte, so that the orders after it stay unread."""
    line = b""
    while (byte := os.read(0, 1)) not in {b"", b"\n"}:
        line += byte
    return line.decode().strip()


async def _main(options: argparse.Namespace) -> None:
    process, until = Process(options), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, until.set)

    async def listen() -> None:
        reader = asyncio.StreamReader()
        try:
            await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        except (OSError, ValueError):  # started without a standard input that can be waited for
            return
        while line := await reader.readline():
            print(process.obey(line.decode(errors="replace")), flush=True)  # noqa: T201 - the answer on the terminal
        if options.until_eof:
            until.set()

    listening = asyncio.create_task(listen())
    try:
        await process.run(until)
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


def main() -> None:
    """Run the gauge until it is told to end."""
    options = options_from(sys.argv[1:])
    if options.mqtt == "-":  # an address holds a password, which other people could read in the list of processes
        options.mqtt = _first_line()
    encoded = public_key(read_key(options.key)).hex()
    print(f"gauge {options.device}: public key {encoded}", flush=True)  # noqa: T201 - for registration
    asyncio.run(_main(options))


if __name__ == "__main__":
    main()
