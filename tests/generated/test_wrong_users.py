"""Wrong users, generated from the registry: whoever may not is refused, changes nothing and leaves an event.

Every request is the operation's example with the ids of real objects, and the permission check lets somebody of the
region pass for it: so each refusal is the permission's own, not that of a missing thing.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from entrepot.kernel.database.schema import from_us
from entrepot.kernel.operations import Actor, Operation
from entrepot.kernel.parties.key_operations import CreateKey, RevokeKey
from entrepot.region.plan import FIRMS, PEOPLE
from tests.generated.region import OPERATIONS, TENANT, Region, send_all, whole_registry

Caller = Callable[[Region, Operation], Actor | None]
# Who supervises a system or reads it all stands in no relation to its objects, and needs none.
EVERY_SCOPE = frozenset(
    scope
    for scope in whole_registry().scopes | {operation.scope for operation in OPERATIONS}
    if scope and not scope.endswith((":supervise", ":read_all"))
)
ONLY_SYSTEMS = "only systems hold its permission"
WITHOUT_RELATION = {
    "casework.define_type": "case types belong to the tenant",
    "casework.get": "the handler knows who supervises all cases",
    "casework.mark_overdue": ONLY_SYSTEMS,
    "notices.address_gone": ONLY_SYSTEMS,
    "notices.mark_read": "the handler finds notices of the actor's own inbox only",
    "parties.freeze_organisation": "the register belongs to the tenant",
    "parties.organisation_file": "the register belongs to the tenant",
    "parties.revoke_key": "the handler finds the actor's own keys only",
    "parties.sign_in_openid": ONLY_SYSTEMS,
    "parties.verify_organisation": "the register belongs to the tenant; not by who registered it",
    "reference.day": "public calendar",
    "reference.import_notice": "the tenant's calendar",
    "reference.price": "public prices",
    "reference.prices": "public prices",
    "reference.set_prices": "the tenant's prices",
    "things.clear_alarm": ONLY_SYSTEMS,
    "things.raise_alarm": ONLY_SYSTEMS,
    "tradefinance.dispose": ONLY_SYSTEMS,
    "tradefinance.expire_call": ONLY_SYSTEMS,
    "tradefinance.pay_again": ONLY_SYSTEMS,
    "tradefinance.remind_of_lapse": ONLY_SYSTEMS,
    "tradefinance.settle_instruction": ONLY_SYSTEMS,
    "warehousing.tank": "tanks and their totals are known in the whole region",
}
# The handler, not a declared relation, keeps others away from these: a stranger with the permission is refused as well.
GUARDED = frozenset({"casework.get", "notices.mark_read", "parties.revoke_key"})


def other_tenant(region: Region, operation: Operation) -> Actor:
    """The right person of the right party with every permission, but of another tenant."""
    right = right_actor(region, operation)
    return replace(right, tenant="elsewhere", scopes=EVERY_SCOPE)


def no_relation(region: Region, operation: Operation) -> Actor | None:
    """The permission, and a party that has nothing to do with the object."""
    if operation.name in GUARDED or (operation.relation is not None and not _empty_passes(region, operation)):
        return region.actor("per_stranger", "org_stranger", {operation.scope})
    return None


def wrong_role(region: Region, operation: Operation) -> Actor | None:
    """The right party with every permission but the one."""
    right = right_actor(region, operation)
    return replace(right, id="per_helper", scopes=EVERY_SCOPE - {operation.scope}) if operation.scope else None


def own_approval(region: Region, operation: Operation) -> Actor | None:
    """The one who asked for it, for the party that may approve, with every permission."""
    if operation.not_by is None:
        return None
    asked = getattr(region.request(operation), operation.not_by.field)
    with region.application.database.reader() as uow:
        sql = "SELECT party FROM relations WHERE tenant = %s AND object_id = %s AND relation = 'requester'"
        (requester,) = uow.read(sql, (TENANT, asked))[0]
    return replace(right_actor(region, operation), id=requester, scopes=EVERY_SCOPE)


def right_actor(region: Region, operation: Operation) -> Actor:
    """Somebody of the region whom the permission check lets pass."""
    for person, party in region.parties():
        actor = region.actor(person, party, {operation.scope})
        if region.permitted(operation, actor) is None:
            return actor
    raise AssertionError(f"{operation.name}: nobody may; give Region.objects an object that {operation.example} names")


def _empty_passes(region: Region, operation: Operation) -> bool:
    rule = operation.relation
    return rule is not None and rule.optional and not getattr(region.request(operation), rule.field)


CALLERS: dict[str, Caller] = {
    "other tenant": other_tenant,
    "no relation": no_relation,
    "wrong role": wrong_role,
    "own approval": own_approval,
}


def test_every_wrong_user_is_refused_everything(region: Region):
    tried: dict[str, set[str]] = {kind: set() for kind in CALLERS}
    wrong: list[str] = []
    expected: dict[tuple[str, str, str, int], str] = {}
    before = region.snapshot()
    for kind, caller in CALLERS.items():
        for operation in OPERATIONS:
            actor = caller(region, operation)
            if actor is None:
                continue
            tried[kind].add(operation.name)
            status, content = region.call(operation, actor)
            if status in {401, 403}:
                expected[actor.tenant, actor.id, operation.name, status] = kind
            elif kind == "other tenant":
                wrong += _crossed(operation, status, content)
            elif status != 404:
                wrong.append(f"{kind}, {operation.name}: {status} {content[:200]}")
    missing = region.missing_events(expected)
    after = region.snapshot()
    wrong += [f"{expected[event]}, {event}: no event" for event in missing]
    wrong += [
        f"{table} was changed: {set(after[table]) ^ set(rows)}"[:400]
        for table, rows in before.items()
        if after[table] != rows
    ]
    assert wrong == [], "\n".join(wrong)
    assert tried["other tenant"] == {operation.name for operation in OPERATIONS}
    assert tried["wrong role"] == {operation.name for operation in OPERATIONS if operation.scope}
    assert tried["own approval"] == {operation.name for operation in OPERATIONS if operation.not_by} != set()
    related = {operation.name for operation in OPERATIONS if operation.relation and not operation.relation.optional}
    assert tried["no relation"] >= related | GUARDED


def _crossed(operation: Operation, status: int, content: str) -> list[str]:
    """Another tenant's actor may do things in their own tenant, but meets no object and no name of this one."""
    if status >= 500:
        return [f"other tenant, {operation.name}: {status}"]
    if status != 200:
        return []
    if operation.relation is not None and not (operation.relation.own_party or operation.relation.optional):
        return [f"other tenant, {operation.name}: {content[:200]}"]
    names = {firm.name for firm in FIRMS} | {person.name for person in PEOPLE} | {"tk-101", "Lanzhou"}
    return [f"other tenant, {operation.name}: shows {name}" for name in names if name in content]


@pytest.mark.parametrize("kind", ["nobody", "expired key", "revoked key"])
def test_without_a_valid_sign_in_nothing_is_done(region: Region, kind: str):
    token = _dead_key(region, kind) if kind != "nobody" else ""
    closed = [operation for operation in OPERATIONS if not operation.public or token]
    before = region.snapshot()
    answers = send_all(region, closed, token)
    statuses = {name: answer.status_code for name, answer in answers.items()}
    assert statuses == {operation.name: 401 for operation in closed}
    for answer in answers.values():
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["content-type"] == "application/problem+json"
    assert region.missing_events((TENANT, "anonymous", operation.name, 401) for operation in closed) == set()
    assert region.snapshot() == before


def _dead_key(region: Region, kind: str) -> str:
    """A key with every permission of its holder, which worked until a moment ago."""
    whoami = [operation for operation in OPERATIONS if operation.name == "parties.whoami"]
    chen = region.cast.actor("per_chen")
    executor = region.application.executor
    issued = executor.run(CreateKey(scopes=sorted(chen.scopes), days=1), chen, region.key())
    answer = send_all(region, whoami, issued.token)["parties.whoami"]
    assert (answer.status_code, answer.json()["person"]) == (200, "per_chen")
    if kind == "revoked key":
        executor.run(RevokeKey(credential_id=issued.id), chen, region.key())
    else:
        region.clock.move_to(from_us(region.clock.now_us()) + timedelta(days=1))
    return issued.token


def test_an_object_in_the_path_has_a_relation_or_a_reason():
    bare = {operation.name for operation in OPERATIONS if "{" in operation.path and operation.relation is None}
    assert bare - WITHOUT_RELATION.keys() == set(), "declare a relation, or say here why none is needed"
    assert WITHOUT_RELATION.keys() >= GUARDED


def test_what_only_systems_may_is_in_no_role():
    registry = whole_registry()
    for name, reason in WITHOUT_RELATION.items():
        if reason == ONLY_SYSTEMS:
            scope = registry.get(name).scope
            assert [role for role, scopes in registry.roles.items() if scope in scopes] == [], name


def test_every_example_is_a_complete_request():
    for operation in OPERATIONS:
        again = operation.request.model_validate_json(json.dumps(dict(operation.example)))
        assert again == operation.request.model_validate(dict(operation.example)), operation.name
