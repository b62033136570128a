"""The assembled application on a seeded region: real parties, goods, a receipt under pledge, a loan that waits."""

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from hashlib import sha256
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import httpx
from fastapi import FastAPI

from entrepot.app import Entrepot, build_registry, installed_systems
from entrepot.kernel.casework.operations import ListCases
from entrepot.kernel.database import metadata, open_database
from entrepot.kernel.documents.operations import UploadDocument
from entrepot.kernel.ledger.operations import ListAccounts
from entrepot.kernel.notices.channel_operations import RegisterAddress
from entrepot.kernel.notices.operations import ListNotices
from entrepot.kernel.operations import Actor, Context, ManualClock, Operation, Refusal, Registry, Request
from entrepot.kernel.parties.key_operations import CreateKey
from entrepot.kernel.parties.operations import RegisterOrganisation, SignIn
from entrepot.kernel.signing.operations import RegisterKey
from entrepot.kernel.things.message import ED25519, encode, public_key, telemetry_topic
from entrepot.region.plan import DEVICE, PEOPLE, TANK
from entrepot.region.seed import Cast, cast_of, manifest, seed_facility, seed_parties, seed_prices, seed_tank
from entrepot.settings import Settings
from entrepot.systems.tradefinance.operations import PledgeGoods, RequestLoan
from entrepot.systems.warehousing.operations import GoodsIn, IssueReceipt
from entrepot.web import build_web

TENANT = "lanzhou"
PASSWORD = "a long enough password"
START = datetime(2008, 7, 3, 2, 0, tzinfo=UTC)
GAUGE_KEY = sha256(b"gauge of the generated tests").digest()
# What every operation leaves behind, also a refused one: its event, the event's place in the chain, the stored answer.
TRACES = frozenset({"events", "unsealed", "sealed", "answered", "event_subscriptions"})


def whole_registry() -> Registry:
    """Kernel, installed systems, demo region."""
    return build_registry([*installed_systems(), manifest])


OPERATIONS: tuple[Operation, ...] = tuple(whole_registry())


@dataclass
class Region:
    """The application, its people, and the ids of real objects by the name of the field that takes them."""

    application: Entrepot
    clock: ManualClock
    cast: Cast
    objects: dict[str, Any] = field(default_factory=dict)
    _keys: Iterator[int] = field(default_factory=lambda: count(1))

    def key(self) -> str:
        """A fresh idempotency key."""
        return f"generated-{next(self._keys)}"

    def request(self, operation: Operation) -> Request[Any]:
        """The operation's example, completed with the ids of real objects."""
        return operation.request.model_validate(self.content(operation))

    def content(self, operation: Operation) -> dict[str, Any]:
        """The JSON content of `request`."""
        content = dict(operation.example)
        for name in operation.request.model_fields:
            real = self.objects.get(f"{operation.name}:{name}", self.objects.get(name))
            if real is not None and (name in content or (operation.relation and operation.relation.field == name)):
                content[name] = real
        return content

    def permitted(self, operation: Operation, actor: Actor) -> Refusal | None:
        """What the permission and relation check alone says; None where it lets the actor pass."""
        runtime = self.application.runtime
        with self.application.database.reader() as uow:
            context = Context(runtime, uow, actor, operation, self.clock.now_us(), Random(1))
            try:
                runtime.check_permission(context, operation, self.request(operation))
            except Refusal as refusal:
                return refusal
        return None

    def actor(self, person: str, party: str, scopes: Iterable[str], tenant: str = TENANT) -> Actor:
        """Somebody with exactly these permissions."""
        return Actor(tenant, person, party, "person", frozenset(scopes))

    def parties(self) -> list[tuple[str, str]]:
        """(person, party) of everyone, each person for the own organisation and as a party of their own."""
        return [(p.id, p.organisation) for p in PEOPLE] + [(p.id, p.id) for p in PEOPLE]

    def call(self, operation: Operation, actor: Actor) -> tuple[int, str]:
        """Run the completed example through the executor; the status and the JSON."""
        key = "" if operation.kind == "query" else self.key()
        outcome = self.application.executor.submit(self.request(operation), actor, key, "test").result(30)
        return outcome.status, outcome.json

    def snapshot(self, tenant: str = TENANT) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of a tenant in every table, except what a refusal leaves."""
        found: dict[str, list[tuple[Any, ...]]] = {}
        with self.application.database.reader() as uow:
            for table in metadata.sorted_tables:
                if table.name in TRACES:
                    continue
                where = "WHERE tenant = %s" if "tenant" in table.columns else ""
                rows = uow.read(f"SELECT * FROM {table.name} {where}", (tenant,) if where else ())
                found[table.name] = sorted(rows, key=repr)
        return found

    def missing_events(self, expected: Iterable[tuple[str, str, str, int]]) -> set[tuple[str, str, str, int]]:
        """Which (tenant, actor, operation, status) have no event. What the edge refuses is written a moment later."""
        wanted, deadline = set(expected), time.monotonic() + 15
        while True:
            with self.application.database.reader() as uow:
                rows = uow.read("SELECT DISTINCT tenant, actor, operation, status FROM events")
            missing = wanted - {(row[0], row[1], row[2], row[3]) for row in rows}
            if not missing or time.monotonic() > deadline:
                return missing
            time.sleep(0.02)


def assembled(database_url: str, folder: Path, clock: ManualClock, **settings: Any) -> Entrepot:
    """The application on a database, nothing of it started."""
    return Entrepot(
        Settings(data_dir=folder / "data", database_url=database_url, mqtt_port=0, **settings),
        clock=clock,
        systems=[*installed_systems(), manifest],
        database=open_database(database_url, durable=False),
        seed=1,
    )


@contextmanager
def seeded(database_url: str, folder: Path) -> Iterator[Region]:
    """The region up to a loan that waits for approval; executor running, nothing else started."""
    clock = ManualClock(START)
    application = assembled(database_url, folder, clock, rate_limits=False, webhooks="private")
    application.executor.start()
    region = Region(application, clock, cast_of(application.executor, TENANT))
    try:
        _seed(region)
        yield region
    finally:
        application.executor.stop()
        application.telemetry.close()
        application.close()


def _seed(region: Region) -> None:
    cast = region.cast
    seed_parties(cast, PASSWORD)
    seed_prices(cast, date(2008, 6, 20), date(2008, 7, 3))
    seed_tank(cast, public_key(GAUGE_KEY))
    _read_gauge(region, water_mm=500.0)
    region.application.telemetry.deliver(region.application.executor)
    cast.run("per_wang", GoodsIn(tank_id=TANK, owner="org_huanghe", quantity_kg=10_000_000))
    receipt, free = (
        cast.run("per_wang", IssueReceipt(tank_id=TANK, owner="org_huanghe", quantity_kg=kg)).id
        for kg in (8_000_000, 1_000_000)
    )
    facility = seed_facility(cast)
    pledge = cast.run("per_chen", PledgeGoods(facility_id=facility, receipt_id=receipt)).id
    loan = cast.run("per_chen", RequestLoan(facility_id=facility, amount=1_000_000_00)).id
    registrar = Actor(TENANT, "per_tian", "org_huozhan", "person", region.application.registry.scopes)
    organisation = region.application.executor.run(
        RegisterOrganisation(credit_code="91620100MA71XYNE12", name="New", name_zh="新", kind="other"), registrar, "new"
    ).id
    scoped = {"signing:own", "documents:write", "casework:read", "parties:self"}
    chen = Actor(TENANT, "per_chen", "org_huanghe", "person", frozenset(scoped))
    run = region.application.executor.run
    key = run(
        RegisterKey.model_validate(
            {"holder": "org_huanghe", "public": _b64(public_key(b"k" * 32)), "purposes": ["sign"]}
        ),
        chen,
        "key",
    ).id
    document = run(
        UploadDocument(content="aGVsbG8K", media_type="text/plain", name="hello.txt", about=receipt), chen, "doc"
    ).digest
    account = run(ListAccounts(owner="org_huanghe"), chen).accounts[0].id
    wang = Actor(TENANT, "per_wang", "org_cangchu", "person", frozenset({"casework:read", "parties:self"}))
    case = run(ListCases(), wang).cases[0].id
    notice = next(n.id for p in PEOPLE for n in cast.run(p.id, ListNotices()).notices)
    webhook = RegisterAddress(party="org_huanghe", channel="webhook", address="http://127.0.0.1:9/")
    address = run(webhook, chen, "address").id
    credential = run(CreateKey(scopes=["parties:self"]), chen, "credential").id
    region.objects = {
        "receipt_id": receipt, "facility_id": facility, "pledge_id": pledge, "loan_id": loan, "tank_id": TANK,
        "device_id": DEVICE, "key_id": key, "digest": document, "document": document, "account": account,
        "case_id": case, "notice_id": notice, "credential_id": credential, "subject": receipt, "about": receipt,
        "owner": "org_huanghe", "holder": "org_huanghe", "lender": "org_lanbank", "custodian": "org_cangchu",
        "person_id": "per_chen", "organisation_id": "org_huanghe",
        "address_id": address, "notices.register_address:party": "org_huanghe",
        # Objects of another kind than the field's name says, or names of things that are yet to be.
        "parties.verify_organisation:organisation_id": organisation, "parties.link_subject:subject": "248289",
        "parties.sign_in_openid:subject": "248289", "parties.unlink_subject:subject": "248289",
        "warehousing.cancel_receipt:receipt_id": free, "warehousing.register_tank:tank_id": "tk-900",
        "warehousing.goods_in:owner": "org_huanghe", "tradefinance.request_loan:amount": 1_000_00,
    }  # fmt: skip


def _read_gauge(region: Region, water_mm: float) -> None:
    now_us, topic = region.clock.now_us(), telemetry_topic(TENANT, DEVICE)
    values = {"level_mm": 11_900.0, "temperature_c": 20.0, "density_kg_m3": 851.0, "water_mm": water_mm}
    payload = encode(topic, 1, now_us, values, ED25519, GAUGE_KEY)
    assert region.application.telemetry.ingest_now([(topic, payload, now_us)]).accepted == 1


def _b64(data: bytes) -> str:
    from base64 import urlsafe_b64encode

    return urlsafe_b64encode(data).rstrip(b"=").decode()


def web(region: Region) -> FastAPI:
    """The web application without the console."""
    return build_web(region.application, console=False)


def sign_in(region: Region, person_id: str) -> str:
    """A session's token."""
    user_name = next(p.user_name for p in PEOPLE if p.id == person_id)
    request = SignIn(user_name=user_name, password=PASSWORD)
    return region.application.executor.run(request, Actor.anonymous(TENANT), region.key()).token


def path_and_body(operation: Operation, content: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The URL path of an operation for a content, and what is left for the body or query."""
    from entrepot.kernel.doors.rest import path_fields, route_path

    left, path = dict(content), route_path(operation)
    for name in path_fields(operation):
        path = path.replace(f"{{{name}}}", str(left.pop(name)))
    return path, left


async def send(client: httpx.AsyncClient, region: Region, operation: Operation, token: str = "") -> httpx.Response:
    """The completed example over REST."""
    path, left = path_and_body(operation, region.content(operation))
    headers = {"authorization": f"Bearer {token}"} if token else {}
    if operation.kind == "command":
        headers["idempotency-key"] = region.key()
    if operation.method == "GET":
        return await client.request("GET", path, params=left, headers=headers)
    return await client.request(operation.method, path, json=left, headers=headers)


def send_all(region: Region, operations: list[Operation], token: str = "") -> dict[str, httpx.Response]:
    """The completed examples of operations over REST, by name."""

    async def all_of_them() -> dict[str, httpx.Response]:
        transport = httpx.ASGITransport(app=web(region))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return {operation.name: await send(client, region, operation, token) for operation in operations}

    return asyncio.run(all_of_them())
