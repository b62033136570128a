"""Seeding the demo region by commands with fixed keys: doing it again changes nothing."""

import base64
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from pydantic import Field

from entrepot.kernel.operations import Actor, Answer, Context, Executor, Request, Secret, System
from entrepot.kernel.parties.checks import credit_check
from entrepot.kernel.parties.service import FOREVER, hash_password
from entrepot.kernel.reference.brent import BRENT_CNY, brent_yuan_per_tonne
from entrepot.kernel.reference.operations import PriceOfDay, SetPrices
from entrepot.kernel.things.operations import RegisterDevice
from entrepot.region.plan import DEVICE, FIRMS, PEOPLE, STRAPPING, TANK, Person, person
from entrepot.systems.tradefinance.agreements import (
    OpenFacility,
    RecordCertificate,
    RegisterInterest,
    SignAgreement,
)
from entrepot.systems.warehousing.operations import RegisterTank

A = TypeVar("A", bound=Answer)
CURRENCY_ISSUER = "org_lanbank"
OPENING_CASH = {"org_lanbank": 5_000_000_000_00, "org_huanghe": 20_000_000_00, "org_exchange": 5_000_000_000_00}
TANK_RANGES = {
    "level_mm": ("mm", 0, 16_500),
    "temperature_c": ("Cel", -40, 90),
    "density_kg_m3": ("kg/m3", 600, 1_100),
    "water_mm": ("mm", 0, 16_500),
}


class Seeded(Answer):
    """What the region has."""

    organisations: int
    people: int


class SeedRegion(Request[Seeded]):
    """Create the demo region's parties, accounts, price series and cash."""

    password_hash: Secret[str] = Field(min_length=20, max_length=300)


@SeedRegion.command("region.seed", http="POST /seed", scope="region:seed", title=("Seed demo region", "初始化示范区"),
    example={"password_hash": "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA"},
)  # fmt: skip
def seed_region(ctx: Context, request: SeedRegion) -> Seeded:
    """Parties straight into the kernel: the demo has no registrar's desk."""
    for firm in FIRMS:
        ctx.parties.register_organisation(
            firm.code + credit_check(firm.code), firm.name, firm.name_zh, firm.kind, organisation_id=firm.id
        )
        ctx.parties.decide_organisation(firm.id, "verified", "demo region")
    for human in PEOPLE:
        commitment = ctx.vault.store(human.id, "name", human.name, "contract")
        ctx.parties.register_person(commitment, "", person_id=human.id)
        ctx.parties.open_account(human.user_name, human.id, request.password_hash)
        for role in (*human.roles, "demo_guest"):
            ctx.parties.grant(human.id, human.organisation, role, 0, FOREVER)
    ctx.ledger.define_asset("CNY", 2, "currency", CURRENCY_ISSUER, bank_account="6222 0210 0012 3456")
    issue = ctx.ledger.account(CURRENCY_ISSUER, "CNY", "issue", may_go_negative=True)
    for party, amount in OPENING_CASH.items():
        ctx.ledger.transfer(issue, ctx.ledger.account(party, "CNY"), amount, reference="opening balance")
    ctx.reference.define_series(BRENT_CNY)
    return Seeded(organisations=len(FIRMS), people=len(PEOPLE))


manifest = System(
    name="region",
    title=("Demo region", "示范区"),
    summary="Lanzhou, seeded by commands",
    operations=("entrepot.region.seed", "entrepot.region.demo"),
    tables=("entrepot.region.demo",),
    pages="entrepot.region.pages",
    calls=("reference.set_prices",),
    roles={"demo_guest": ("region:demo",)},
)


@dataclass(slots=True)
class Cast:
    """Runs commands in the names of the region's people."""

    executor: Executor
    tenant: str
    scopes_of: Callable[[str], frozenset[str]]

    def actor(self, person_id: str) -> Actor:
        """The actor that the person's sign-in would give."""
        return actor_of(person(person_id), self.tenant, self.scopes_of)

    def system(self, name: str) -> Actor:
        """A system with every permission: what the operator's own setting-up may do."""
        return Actor.system(self.tenant, name, self.executor.runtime.registry.scopes)

    def run(self, person_id: str, request: Request[A], key: str = "") -> A:
        """Run a person's command or query; with a key it happens once, without one each time."""
        return self.executor.run(request, self.actor(person_id), key or secrets.token_hex(8), "region")


def cast_of(executor: Executor, tenant: str) -> Cast:
    """The region's people on an executor."""
    roles = executor.runtime.registry.roles
    return Cast(executor, tenant, lambda role: roles.get(role, frozenset()))


def actor_of(human: Person, tenant: str, scopes_of: Callable[[str], frozenset[str]]) -> Actor:
    """The actor of one of the people."""
    scopes: frozenset[str] = frozenset({"parties:self"}).union(
        *(scopes_of(role) for role in (*human.roles, "demo_guest"))
    )
    return Actor(tenant, human.id, human.organisation, "person", scopes, frozenset(human.roles))


def seed_parties(cast: Cast, password: str) -> None:
    """Parties, accounts, cash and the price series."""
    request = SeedRegion(password_hash=hash_password(password))
    # A password's hash is salted: seeding again sends other content under the key, which says that it was done.
    outcome = cast.executor.submit(request, cast.system("region"), "region:seed", "region").result()
    if outcome.status != 200 and "idempotency/other-content" not in outcome.json:
        outcome.result()


def seed_prices(cast: Cast, first: date, last: date) -> None:
    """Brent, converted, for a span of days."""
    points = [PriceOfDay(day=day, value=value) for day, value in brent_yuan_per_tonne(first, last)]
    if points:
        request = SetPrices(series=BRENT_CNY.id, prices=points, confirm_jump=True, note="history")
        cast.executor.run(request, cast.system("reference"), f"region:prices:{first}:{last}", "region")


def seed_tank(cast: Cast, public_key: bytes, *, silence_s: int = 60) -> None:
    """The tank and its gauge."""
    gauge = RegisterDevice.model_validate(
        {
            "owner": "org_cangchu",
            "custodian": "org_cangchu",
            "title": ("Level gauge of tank 101", "101 号罐液位计"),
            "public_key": base64.urlsafe_b64encode(public_key).rstrip(b"=").decode(),
            "values": {
                name: {"unit": unit, "minimum": low, "maximum": high} for name, (unit, low, high) in TANK_RANGES.items()
            },
            "site": TANK,
            "rules": [
                {"name": "silent", "kind": "silent", "window_s": silence_s, "title": ("Gauge is silent", "液位计失联")},
                {
                    "name": "water",
                    "kind": "above",
                    "value": "water_mm",
                    "limit": 400,
                    "hysteresis": 50,
                    "title": ("Much water in the tank", "罐内含水过多"),
                },
            ],
            "device_id": DEVICE,
        }
    )
    cast.run("per_wang", gauge, "region:gauge")
    tank = RegisterTank(
        tank_id=TANK,
        name="Tank 101, crude oil",
        name_zh="101 号原油储罐",
        site="Lanzhou north tank farm",
        custodian="org_cangchu",
        device_id=DEVICE,
        strapping=STRAPPING,
        capacity_kg=16_500_000,
    )
    cast.run("per_wang", tank, "region:tank")


def seed_facility(cast: Cast, number: int = 1) -> str:
    """A facility of the harbour bank for the energy trader, signed by all three and certified; its id."""
    opened = cast.run(
        "per_li",
        OpenFacility(
            lender="org_lanbank", borrower="org_huanghe", custodian="org_cangchu", disposal_buyer="org_exchange"
        ),
        f"region:facility:{number}",
    )
    for signer in ("per_li", "per_chen", "per_wang"):
        cast.run(signer, SignAgreement(facility_id=opened.id), f"region:sign:{number}:{signer}")
    certificate = RecordCertificate(facility_id=opened.id, certificate=f"QC-DEMO-{number:06d}", clear=True)
    cast.run("per_li", certificate, f"region:certificate:{number}")
    registration = RegisterInterest(facility_id=opened.id, registration=f"REG-DEMO-{number:06d}")
    cast.run("per_li", registration, f"region:registration:{number}")
    return opened.id
