"""Wrong users, generated from the registry: each is refused by every operation, changes nothing, leaves an event.

The world is the demo region with one of everything, so that each request names real objects and the refusal is the
permission's, not "not found".
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from entrepot.kernel.database import Database
from entrepot.kernel.operations import Actor, Operation
from entrepot.region.replay import World
from entrepot.systems import build_registry, installed_systems
from entrepot.systems.tradefinance.operations import RequestLoan
from tests.systems.conftest import START, Story

# Written by the edge itself, whatever the outcome: the event, its place in the queue of the sealer, the stored answer.
EDGE_TABLES = {"events", "unsealed", "answered", "seals", "blocks", "alembic_version"}
REFUSED = {401, 403, 404}
# Open to everyone of the tenant who holds the scope, although an object stands in the path; each with its reason.
WITHOUT_RELATION = {
    "casework.define_type": "case types belong to the tenant, designed by who holds the scope",
    "casework.mark_overdue": "only systems hold the scope",
    "casework.get": "checks the relation itself: who supervises the tenant sees every case",
    "notices.mark_read": "finds a notice only in the own party's inbox",
    "parties.revoke_key": "finds a key only of the own person",
    "parties.verify_organisation": "the register is the tenant's; another person than the registrant decides",
    "reference.price": "prices are public in the region",
    "reference.prices": "prices are public in the region",
    "reference.set_prices": "prices are the region's, written by the price clerk",
    "reference.import_notice": "the calendar is the region's, kept by the price clerk",
    "reference.day": "the calendar is public",
    "warehousing.tank": "everyone of the region sees the tanks; whose goods lie in them, they do not",
    "tradefinance.settle_instruction": "only systems hold the scope",
    "tradefinance.expire_call": "only systems hold the scope",
    "tradefinance.dispose": "only systems hold the scope",
    "tradefinance.remind_of_lapse": "only systems hold the scope",
    "things.raise_alarm": "only systems hold the scope",
    "things.clear_alarm": "only systems hold the scope",
}


@pytest.fixture(scope="module")
def registry():
    """Every operation of kernel, systems and region."""
    from entrepot.region.seed import manifest

    return build_registry([*installed_systems(), manifest])


@pytest.fixture
def prepared(database: Database, tmp_path: Path) -> Iterator[tuple[World, dict[str, str]]]:
    """The region after a pledge and a requested loan, and the real ids by field name."""
    from tests.systems import conftest

    world = World(tmp_path, START, 1, database)
    conftest.seed_parties(world.cast, "a long enough password")
    conftest.seed_prices(world.cast, START.date().replace(day=1), START.date())
    conftest.seed_tank(world.cast, world.device_key)
    world.read_gauge()
    story = Story(world)
    pledge = story.pledge()
    loan = world.cast.run("per_chen", RequestLoan(facility_id=story.facility, amount=1_000_00))
    with database.reader() as uow:
        account = uow.read("SELECT id FROM ledger_accounts WHERE owner = %s", ("org_huanghe",))[0][0]
    yield (
        world,
        {
            "facility_id": story.facility,
            "receipt_id": story.receipt,
            "pledge_id": pledge,
            "loan_id": loan.id,
            "tank_id": "tk-101",
            "device_id": "dev_gauge101",
            "organisation_id": "org_huanghe",
            "account": str(account),
            "subject": story.receipt,
        },
    )
    world.executor.stop()
    world.telemetry.close()


def request_of(operation: Operation, ids: dict[str, str]) -> Any:
    """A valid request that names real objects."""
    example = {**operation.example, **{name: ids[name] for name in operation.request.model_fields if name in ids}}
    rule = operation.relation
    if rule is not None and rule.own_party:
        example[rule.field] = "org_huanghe"
    return operation.request.model_validate(example, strict=False)


def contents(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table that the edge does not write by itself."""
    from sqlalchemy import inspect

    with database.engine.connect() as connection:
        names = sorted(set(inspect(connection).get_table_names()) - EDGE_TABLES)
    found = {}
    with database.reader() as uow:
        for name in names:
            if not name.startswith(("telemetry", "dbos")):
                found[name] = sorted(uow.read(f'SELECT * FROM "{name}"'), key=repr)
    return found


def wrong_users(operation: Operation, everything: frozenset[str]) -> Iterator[tuple[str, Actor]]:
    """Who must be refused this operation, and why."""
    stranger = Actor("lanzhou", "per_stranger", "org_stranger", "person", everything)
    if operation.scope:
        yield "not signed in", Actor.anonymous("lanzhou")
        yield "wrong role", replace(stranger, scopes=everything - {operation.scope})
    if operation.relation is not None and not operation.relation.optional:
        yield "no relation", stranger
        owner = replace(stranger, tenant="elsewhere", party="org_huanghe", id="per_chen")
        if not operation.relation.own_party:
            yield "another tenant", owner


def test_every_operation_refuses_every_wrong_user(prepared: tuple[World, dict[str, str]]):
    world, ids = prepared
    registry = world.executor.runtime.registry
    everything = registry.scopes | {"parties:self"}
    supervising = {scope for scope in everything if scope.endswith(("read_all", "supervise", "act_for"))}
    before = contents(world.database)
    tried = 0
    for operation in registry:
        request = request_of(operation, ids)
        for why, actor in wrong_users(operation, frozenset(everything - supervising)):
            outcome = world.executor.submit(request, actor, f"wrong-{operation.name}-{why}").result()
            assert outcome.status in REFUSED, f"{operation.name}, {why}: {outcome.status} {outcome.json[:300]}"
            tried += 1
            expect_event(world, operation, actor, outcome.status, why)
    assert tried > 2 * len(registry), "at least two wrong users for each operation on average"
    assert contents(world.database) == before, "a refused operation changes nothing"


def expect_event(world: World, operation: Operation, actor: Actor, status: int, why: str) -> None:
    """The refusal is in the log. A refused query's event is queued, so it may come a moment later."""
    import time

    for _ in range(200):
        with world.database.reader() as uow:
            rows = uow.read(
                "SELECT 1 FROM events WHERE tenant = %s AND actor = %s AND operation = %s AND status = %s LIMIT 1",
                (actor.tenant, actor.id, operation.name, status),
            )
        if rows:
            return
        time.sleep(0.01)
    raise AssertionError(f"{operation.name}, {why}: no event was left")


def test_nobody_approves_what_they_asked_for(prepared: tuple[World, dict[str, str]]):
    world, ids = prepared
    registry = world.executor.runtime.registry
    barred = [operation for operation in registry if operation.not_by is not None]
    assert barred, "own approval is declared somewhere"
    for operation in barred:
        assert operation.not_by is not None
        target = ids[operation.not_by.field]
        with world.database.unit() as uow:
            from random import Random

            from entrepot.kernel.database import Scope
            from entrepot.kernel.parties import Relations

            scope = Scope(uow, "lanzhou", 1, Random(1), lambda prefix: prefix, "x", lambda *_: None)
            Relations(scope).add(target, "requester", "per_self")
            for relation in operation.relation.relations if operation.relation else ():
                Relations(scope).add(target, relation, "org_self")
        actor = Actor("lanzhou", "per_self", "org_self", "person", registry.scopes)
        outcome = world.executor.submit(request_of(operation, ids), actor, f"own-{operation.name}").result()
        assert (outcome.status, "own-approval" in outcome.json) == (403, True), f"{operation.name}: {outcome.json}"


def test_an_object_in_the_path_has_a_relation_or_a_reason(registry: Any):
    bare = {operation.name for operation in registry if "{" in operation.path and operation.relation is None}
    unexplained = bare - set(WITHOUT_RELATION)
    assert not unexplained, f"declare a relation, or say in WITHOUT_RELATION why not: {sorted(unexplained)}"


def test_no_person_holds_what_only_systems_may(registry: Any):
    for name, why in WITHOUT_RELATION.items():
        if "only systems" in why:
            scope = registry.get(name).scope
            holders = [role for role, scopes in registry.roles.items() if scope in scopes]
            assert holders == [], f"{scope} is held by {holders}"


def test_every_operation_has_both_titles_a_summary_and_a_valid_example(registry: Any):
    for operation in registry:
        assert all(operation.title), operation.name
        assert operation.summary.endswith((".", "。")), f"{operation.name}: {operation.summary!r}"
        operation.request.model_validate(dict(operation.example), strict=False)
