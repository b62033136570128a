"""A running kernel for tests of signing, vault and documents: an executor on a real database, with a manual clock."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from entrepot.kernel.database import Database, Scope, UnitOfWork
from entrepot.kernel.documents import Documents, Store
from entrepot.kernel.documents.manifest import manifest as documents_manifest
from entrepot.kernel.events.chain import seal_once
from entrepot.kernel.operations import Actor, Answer, Executor, ManualClock, Registry, Request, Runtime, System
from entrepot.kernel.parties.relations import Relations
from entrepot.kernel.signing import Keyring, LocalKey, Signing
from entrepot.kernel.signing.manifest import manifest as signing_manifest
from entrepot.kernel.vault import Vault
from entrepot.kernel.vault.manifest import manifest as vault_manifest

A = TypeVar("A", bound=Answer)
START = datetime(2026, 3, 1, 8, tzinfo=UTC)
PROBE = System(name="probe", title=("Probe", "探针"), summary="For tests", operations=("tests.kernel.probe",))
TENANT = "lanzhou"
SCOPES = frozenset(
    {"signing:own", "signing:read", "signing:witness", "signing:evidence", "vault:own", "documents:read",
     "documents:write", "probe:act"}
)  # fmt: skip


class World:
    """A tenant with its services; `run` executes an operation as a person of a party."""

    def __init__(self, database: Database, folder: Path, operator: LocalKey | None = None) -> None:
        self.database = database
        self.clock = ManualClock(START)
        self.operator = operator or LocalKey("ed25519", bytes(range(32)))
        self.keyring = Keyring(b"m" * 32)
        self.store = Store(folder / "documents")
        self.heads_file = folder / "heads.jsonl"
        self._keys = count(1)
        runtime = Runtime(
            database,
            Registry((PROBE, signing_manifest, vault_manifest, documents_manifest)),
            self.clock,
            make_documents=lambda scope: Documents(scope, self.store),
            make_vault=lambda scope: Vault(scope, self.keyring),
            make_signing=lambda scope: Signing(scope, self.operator, self.keyring),
        )
        self.executor = Executor(runtime, seed=1).start()

    def close(self) -> None:
        self.executor.stop()

    def actor(self, person: str, party: str = "", scopes: frozenset[str] = SCOPES) -> Actor:
        return Actor(TENANT, person, party or person, "person", scopes)

    def run(self, request: Request[A], person: str = "li", party: str = "org_trader") -> A:
        return self.executor.run(request, self.actor(person, party), key=f"k{next(self._keys)}")

    def seal(self) -> None:
        self.clock.move_to(datetime.fromtimestamp(self.clock.now_us() / 1e6, UTC) + timedelta(seconds=1))
        while seal_once(self.database, self.clock.now_us()):
            pass

    @contextmanager
    def unit(self) -> Iterator[tuple[UnitOfWork, Scope]]:
        """A unit of work outside of the executor, with its scope; emitted events are dropped."""
        with self.database.unit() as uow:
            uow.begin_operation()
            yield uow, self.scope(uow)

    def scope(self, uow: UnitOfWork) -> Scope:
        def new_id(prefix: str) -> str:
            return f"{prefix}_unit{next(self._keys):06d}"

        def emit(kind: str, data: dict[str, Any], subject: str) -> None:
            return None

        from random import Random

        return Scope(uow, TENANT, self.clock.now_us(), Random(1), new_id, "tester", emit)

    def relate(self, object_id: str, relation: str, party: str) -> None:
        with self.unit() as (_, scope):
            Relations(scope).add(object_id, relation, party)
