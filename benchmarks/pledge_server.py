"""The server of the pledge benchmark: seeds facilities and receipts, prints them, then serves until it is ended."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvicorn

from entrepot import local_tokens
from entrepot.app import Entrepot, installed_systems
from entrepot.kernel.reference import REGION
from entrepot.kernel.reference.operations import PriceOfDay, SetPrices
from entrepot.kernel.things.message import ED25519, encode, public_key, telemetry_topic
from entrepot.region.plan import DEVICE, TANK
from entrepot.region.seed import cast_of, manifest, seed_facility, seed_parties, seed_tank
from entrepot.settings import load_settings
from entrepot.systems.warehousing.operations import GoodsIn, IssueReceipt
from entrepot.web import build_web

KILOGRAMS = 10_000


def main(url: str, folder: Path, port: int, facilities: int, each: int) -> None:
    settings = load_settings({}, data_dir=folder, database_url=url, port=port, mqtt_port=0, rate_limits=False)
    application = Entrepot(settings, systems=[*installed_systems(), manifest], foreign=(local_tokens.reader(settings),))
    application.migrate()
    application.executor.start()
    _seed(application, facilities, each)
    print("ready", flush=True)
    application.executor.stop()
    restarted = Entrepot(settings, systems=[*installed_systems(), manifest], foreign=(local_tokens.reader(settings),))
    application.telemetry.close()
    uvicorn.run(build_web(restarted, console=False), port=port, log_level="error")


def _seed(application: Entrepot, facilities: int, each: int) -> None:
    tenant = application.settings.tenant
    cast = cast_of(application.executor, tenant)
    seed_parties(cast, "a long enough password")
    yesterday = datetime.now(UTC).astimezone(REGION).date() - timedelta(days=1)
    price = SetPrices(series="brent-cny-t", prices=[PriceOfDay(day=yesterday, value=753_471)])
    application.executor.run(price, cast.system("reference"), "price")
    key = b"benchmark gauge key, 32 bytes !!"
    seed_tank(cast, public_key(key), silence_s=3_600)
    topic, now_us = telemetry_topic(tenant, DEVICE), time.time_ns() // 1000
    values = {"level_mm": 11_900.0, "temperature_c": 20.0, "density_kg_m3": 851.0, "water_mm": 15.0}
    application.telemetry.ingest_now([(topic, encode(topic, 1, now_us, values, ED25519, key), now_us)])
    whole = facilities * each * KILOGRAMS
    cast.run("per_wang", GoodsIn(tank_id=TANK, owner="org_huanghe", quantity_kg=whole), "in")
    for number in range(1, facilities + 1):
        facility = seed_facility(cast, number)
        for place in range(each):
            receipt = IssueReceipt(tank_id=TANK, owner="org_huanghe", quantity_kg=KILOGRAMS)
            issued = cast.run("per_wang", receipt, f"receipt-{number}-{place}")
            print(facility, issued.id, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
