"""Permission and relation check of one call among 110,000 grants, 99th percentile.

The population is that of the peer's own "large role-based" benchmark: 10,000 roles, each with a permission on data, and
100,000 users with a role each. With us a role is a party, the datum an object which that party owns, and a user an
actor of the party: the check is the scope of the operation, then the relation of the actor's party to the object.
Half of the checks must pass and half must be refused, on both sides.

Run alone: `python -m benchmarks.permission`.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import casbin
from casbin.model import Model

from benchmarks.support import Figure, Report, percentile, work_folder
from entrepot.kernel.database import Database, Scope, open_database
from entrepot.kernel.operations import (
    Actor,
    Answer,
    Context,
    Forbidden,
    Registry,
    Request,
    Runtime,
    System,
    SystemClock,
    owner_of,
)
from entrepot.kernel.parties import Relations
from entrepot.memory import calm_collector
from tests.support.postgres import Cluster

ROLES, USERS = 10_000, 100_000
CHECKS, PEER_CHECKS, RUNS = 20_000, 100, 3
PEER = "pycasbin enforce, p99"
MODEL = """
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act
"""
TENANT = "bench"
manifest = System(
    name="vaultdoor",
    title=("Vault door", "库门"),
    summary="One guarded operation.",
    operations=("benchmarks.permission",),
    tables=("entrepot.kernel.parties.tables",),
    roles={"reader": ("vaultdoor:read",)},
)


class Read(Answer):
    """Nothing but that it was allowed."""


class ReadDatum(Request[Read]):
    """Read one datum."""

    datum: str


@ReadDatum.query(
    "vaultdoor.read", http="GET /data", scope="vaultdoor:read", title=("Read", "读"), relation=owner_of("datum")
)
def read_datum(ctx: Context, request: ReadDatum) -> Read:
    return Read()


def figures(runs: int = RUNS) -> Iterator[Figure]:
    """`permission_us` on SQLite, the same on PostgreSQL, and the peer."""
    calm_collector()
    peers = [_peer_p99_us() for _ in range(runs)]
    for name, open_url in (("permission_us", _sqlite), ("permission_postgres_us", _postgres)):
        with open_url() as url:
            Registry([manifest])  # brings the tables
            database = open_database(url)
            database.create_all()
            _grant(database)
            ours = [_our_p99_us(database, seed) for seed in range(runs)]
            database.close()
        note = f"{CHECKS:,} checks a run in one reading transaction; garbage is collected as the server does it"
        yield Figure(name, ours, "us", PEER, peers, (50, 10), smaller_is_better=True, note=note)


def _grant(database: Database) -> None:
    """110,000 relations: each role's party owns a datum, each user belongs to a party."""
    with database.unit() as uow:
        serial = iter(range(10**9))
        scope = Scope(uow, TENANT, 1, random.Random(1), lambda p: f"{p}_{next(serial)}", "bench", lambda *_: None)
        relations = Relations(scope)
        for number in range(ROLES):
            relations.add(f"data{number}", "owner", f"party{number}")
        for number in range(USERS):
            relations.add(f"party{number // 10}", "member", f"user{number}")


def _our_p99_us(database: Database, seed: int) -> float:
    runtime = Runtime(database, Registry([manifest]), SystemClock())
    operation = runtime.registry.get("vaultdoor.read")
    chance = random.Random(seed)
    taken_us = []
    with database.reader() as uow:
        for number in range(CHECKS):
            user = chance.randrange(USERS)
            owned, allowed = user // 10, number % 2 == 0
            actor = Actor(TENANT, f"user{user}", f"party{owned}", "person", frozenset({"vaultdoor:read"}))
            request = ReadDatum(datum=f"data{owned if allowed else (owned + 1) % ROLES}")
            context = Context(runtime, uow, actor, operation, 1, chance)
            started = time.perf_counter()
            passed = _passes(lambda: runtime.check_permission(context, operation, request))  # noqa: B023
            taken_us.append((time.perf_counter() - started) * 1e6)
            assert passed is allowed
    return percentile(taken_us, 0.99)


def _passes(check: Callable[[], None]) -> bool:
    try:
        check()
    except Forbidden:
        return False
    return True


def _peer_p99_us() -> float:
    model = Model()
    model.load_model_from_text(MODEL)
    enforcer = casbin.Enforcer(model)
    enforcer.add_policies([[f"group{number}", f"data{number}", "read"] for number in range(ROLES)])
    enforcer.add_grouping_policies([[f"user{number}", f"group{number // 10}"] for number in range(USERS)])
    chance = random.Random(1)
    taken_us = []
    for number in range(PEER_CHECKS):
        user = chance.randrange(USERS)
        owned, allowed = user // 10, number % 2 == 0
        datum = f"data{owned if allowed else (owned + 1) % ROLES}"
        started = time.perf_counter()
        passed = enforcer.enforce(f"user{user}", datum, "read")
        taken_us.append((time.perf_counter() - started) * 1e6)
        assert passed is allowed
    return percentile(taken_us, 0.99)


@contextmanager
def _sqlite() -> Iterator[str]:
    with work_folder() as folder:
        yield f"sqlite:///{folder / 'bench.db'}"


@contextmanager
def _postgres() -> Iterator[str]:
    with Cluster.create(durable=True) as cluster:
        yield cluster.create_database()


def main() -> int:
    report = Report("permission")
    report.add(*figures())
    report.print()
    return 0


if __name__ == "__main__":
    from benchmarks.permission import main as imported_main  # under its own name, where the registry finds it

    sys.exit(imported_main())
