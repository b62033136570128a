"""What a handler is given: actor, time, chance, identifiers, nested calls and the kernel's services."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast, overload

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
T = TypeVar("T")
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


class _once(Generic[T]):  # noqa: N801 - used like property
    """A property that is computed at its first use: functools' own takes a lock for it, here one thread uses it."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self._name = make.__name__
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> "_once[T]": ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> "T | _once[T]":
        if instance is None:
            return self
        made = instance.__dict__[self._name] = self._make(instance)
        return made


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

    @_once
    def scope(self) -> Scope:
        """What services are made of."""
        return Scope(self.uow, self.tenant, self.now_us, self.random, self.new_id, self.actor.id, self.emit)

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

    @_once
    def ledger(self) -> "Ledger":
        """Whatever can be owned."""
        from entrepot.kernel.ledger import Ledger

        return Ledger(self.scope)

    @_once
    def parties(self) -> "Parties":
        """Organisations, people, agents, devices."""
        from entrepot.kernel.parties import Parties

        return Parties(self.scope)

    @_once
    def relations(self) -> "Relations":
        """Who stands in which relation to an object."""
        from entrepot.kernel.parties import Relations

        return Relations(self.scope)

    @_once
    def cases(self) -> "Cases":
        """Cases with states and deadlines."""
        from entrepot.kernel.casework import Cases

        return Cases(self.scope)

    @_once
    def timers(self) -> "Timers":
        """Commands to be run at a time."""
        from entrepot.kernel.timers import Timers

        return Timers(self.scope)

    @_once
    def workflows(self) -> "Workflows":
        """Durable work, started and signalled in this transaction."""
        from entrepot.kernel.workflows import Workflows

        make: Callable[[Scope], Workflows] = self.runtime.make_workflows or Workflows
        return make(self.scope)

    @_once
    def documents(self) -> "Documents":
        """Content-addressed files."""
        from entrepot.kernel.documents import Documents

        make: Callable[[Scope], Documents] = self.runtime.make_documents or Documents
        return make(self.scope)

    @_once
    def notices(self) -> "Notices":
        """Messages to parties and people."""
        from entrepot.kernel.notices import Notices

        return Notices(self.scope)

    @_once
    def addresses(self) -> "Addresses":
        """Where notices go besides the inbox."""
        from entrepot.kernel.notices import Addresses

        make: Callable[[Scope], Addresses] = self.runtime.make_addresses or Addresses
        return make(self.scope)

    @_once
    def reference(self) -> "Reference":
        """Calendars, currencies, units, prices."""
        from entrepot.kernel.reference import Reference

        return Reference(self.scope)

    @_once
    def vault(self) -> "Vault":
        """Personal fields, erasable."""
        from entrepot.kernel.vault import Vault

        make: Callable[[Scope], Vault] = self.runtime.make_vault or Vault
        return make(self.scope)

    @_once
    def signing(self) -> "Signing":
        """Keys, signatures, evidence packs."""
        from entrepot.kernel.signing import Signing

        make: Callable[[Scope], Signing] = self.runtime.make_signing or Signing
        return make(self.scope)

    @_once
    def things(self) -> "Things":
        """Devices and their readings."""
        from entrepot.kernel.things import Things

        make: Callable[[Scope], Things] = self.runtime.make_things or Things
        return make(self.scope)

    @_once
    def events(self) -> "Events":
        """The event log, for reading."""
        from entrepot.kernel.events import Events

        return Events(self.scope)

    @staticmethod
    def canonical(value: Any) -> str:
        """Canonical JSON."""
        return canonical(value)
