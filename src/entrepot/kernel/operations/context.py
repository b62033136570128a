"""What a handler is given: actor, time, chance, identifiers, nested calls and the kernel's services."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from sqlalchemy.orm import Session

from entrepot.kernel.database import Base, Scope, UnitOfWork
from entrepot.kernel.operations.canonical import canonical
from entrepot.kernel.operations.clock import stem
from entrepot.kernel.operations.declaration import Answer, Operation, Request
from entrepot.kernel.operations.errors import Forbidden

if TYPE_CHECKING:
    from entrepot.kernel.casework import Cases
    from entrepot.kernel.documents import Documents
    from entrepot.kernel.events import Events
    from entrepot.kernel.ledger import Ledger
    from entrepot.kernel.notices import Addresses, Notices
    from entrepot.kernel.operations.runtime import Runtime
    from entrepot.kernel.parties import Parties, Relations
    from entrepot.kernel.reference import Reference
    from entrepot.kernel.signing import Signing
    from entrepot.kernel.things import Things
    from entrepot.kernel.timers import Timers
    from entrepot.kernel.vault import Vault
    from entrepot.kernel.workflows import Workflows

A = TypeVar("A", bound=Answer)
ActorKind = Literal["person", "agent", "device", "system", "anonymous"]
MAX_CALL_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: `id` is the person, device or system; `party` the organisation acted for."""

    tenant: str
    id: str
    party: str
    kind: ActorKind
    scopes: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    session: str = ""

    @staticmethod
    def anonymous(tenant: str) -> "Actor":
        """Nobody signed in."""
        return Actor(tenant, "anonymous", "", "anonymous")

    @staticmethod
    def system(tenant: str, name: str, scopes: frozenset[str]) -> "Actor":
        """The workflows and timers of a system: skips relation checks, needs its scopes."""
        return Actor(tenant, f"system:{name}", f"system:{name}", "system", scopes)


class Context:
    """One running operation. Services are made when first used and share the unit of work."""

    def __init__(
        self, runtime: "Runtime", uow: UnitOfWork, actor: Actor, operation: Operation, now_us: int, random: Random
    ) -> None:
        self.runtime = runtime
        self.uow = uow
        self.actor = actor
        self.tenant = actor.tenant
        self.operation = operation
        self.now_us = now_us
        self.random = random
        self.emitted: list[tuple[str, dict[str, Any], str]] = []
        self.depth = 0
        self.prepared: Any = None
        self._stem = ""
        self._count = 0
        self._scope: Scope | None = None
        self._services: dict[str, Any] = {}

    @property
    def now(self) -> datetime:
        """The operation's time, aware UTC; the same for all that it does."""
        return self.scope.now

    @property
    def registry(self) -> Any:
        """The registry of all operations."""
        return self.runtime.registry

    @property
    def session(self) -> Session:
        """SQLAlchemy session of the transaction, for the system's own rows. Never commit it."""
        return self.uow.session

    @property
    def scope(self) -> Scope:
        """What services are made of."""
        if self._scope is None:
            self._scope = Scope(self.uow, self.tenant, self.now_us, self.random, self.new_id, self.actor.id, self.emit)
        return self._scope

    def new_id(self, prefix: str) -> str:
        """A fresh identifier such as `rcp_01hx...`: sorts by time, repeats under a replayed clock."""
        if not self._stem:
            self._stem = stem(self.now_us, self.random)
        self._count += 1
        return f"{prefix}_{self._stem}{self._count:02d}"

    def emit(self, type: str, data: dict[str, Any], subject: str = "") -> None:
        """Add an event to the operation's own; it appears only if the operation is not refused."""
        self.emitted.append((type, data, subject))

    def insert(self, row: Base) -> None:
        """Add a system's own row."""
        assert not self.uow.read_only, "a query may not write"
        self.session.add(row)

    def call(self, request: Request[A]) -> A:
        """Run another operation inside this one: same transaction, same actor.

        The caller's manifest must list the operation, unless it belongs to the caller or the actor holds the scope.
        Raises Forbidden, and whatever the operation refuses.
        """
        operation = self.runtime.registry.of(request)
        caller = self.operation
        assert self.depth < MAX_CALL_DEPTH, "operations call one another without end"
        if operation.system != caller.system and operation.scope not in self.actor.scopes:
            system = self.runtime.registry.systems.get(caller.system)
            if system is None or operation.name not in system.calls:
                raise Forbidden("call/not-listed", f"{caller.system} may not call {operation.name}.")
        self.operation, self.depth = operation, self.depth + 1
        try:
            self.runtime.check_relation(self, operation, request)
            answer = operation.handler(self, request)
            if operation.kind == "command":
                self.emitted.append(self.runtime.nested_event(operation, request, answer))
            return cast(A, answer)
        finally:
            self.operation, self.depth = caller, self.depth - 1

    def _service(self, name: str, make: Callable[[Scope], Any]) -> Any:
        service = self._services.get(name)
        if service is None:
            service = self._services[name] = make(self.scope)
        return service

    @property
    def ledger(self) -> "Ledger":
        """Whatever can be owned."""
        from entrepot.kernel.ledger import Ledger

        return cast("Ledger", self._service("ledger", Ledger))

    @property
    def parties(self) -> "Parties":
        """Organisations, people, agents, devices."""
        from entrepot.kernel.parties import Parties

        return cast("Parties", self._service("parties", Parties))

    @property
    def relations(self) -> "Relations":
        """Who stands in which relation to an object."""
        from entrepot.kernel.parties import Relations

        return cast("Relations", self._service("relations", Relations))

    @property
    def cases(self) -> "Cases":
        """Cases with states and deadlines."""
        from entrepot.kernel.casework import Cases

        return cast("Cases", self._service("cases", Cases))

    @property
    def timers(self) -> "Timers":
        """Commands to be run at a time."""
        from entrepot.kernel.timers import Timers

        return cast("Timers", self._service("timers", Timers))

    @property
    def workflows(self) -> "Workflows":
        """Durable work, started and signalled in this transaction."""
        from entrepot.kernel.workflows import Workflows

        return cast("Workflows", self._service("workflows", self.runtime.make_workflows or Workflows))

    @property
    def documents(self) -> "Documents":
        """Content-addressed files."""
        from entrepot.kernel.documents import Documents

        return cast("Documents", self._service("documents", self.runtime.make_documents or Documents))

    @property
    def notices(self) -> "Notices":
        """Messages to parties and people."""
        from entrepot.kernel.notices import Notices

        return cast("Notices", self._service("notices", Notices))

    @property
    def addresses(self) -> "Addresses":
        """Where notices go besides the inbox."""
        from entrepot.kernel.notices import Addresses

        return cast("Addresses", self._service("addresses", self.runtime.make_addresses or Addresses))

    @property
    def reference(self) -> "Reference":
        """Calendars, currencies, units, prices."""
        from entrepot.kernel.reference import Reference

        return cast("Reference", self._service("reference", Reference))

    @property
    def vault(self) -> "Vault":
        """Personal fields, erasable."""
        from entrepot.kernel.vault import Vault

        return cast("Vault", self._service("vault", self.runtime.make_vault or Vault))

    @property
    def signing(self) -> "Signing":
        """Keys, signatures, evidence packs."""
        from entrepot.kernel.signing import Signing

        return cast("Signing", self._service("signing", self.runtime.make_signing or Signing))

    @property
    def things(self) -> "Things":
        """Devices and their readings."""
        from entrepot.kernel.things import Things

        return cast("Things", self._service("things", self.runtime.make_things or Things))

    @property
    def events(self) -> "Events":
        """The event log, for reading."""
        from entrepot.kernel.events import Events

        return cast("Events", self._service("events", Events))

    @staticmethod
    def canonical(value: Any) -> str:
        """Canonical JSON."""
        return canonical(value)
