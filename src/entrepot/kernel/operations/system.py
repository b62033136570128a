"""Manifests of systems and the registry of all that they declare."""

import importlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from entrepot.kernel.operations.declaration import Operation, Request
from entrepot.kernel.operations.errors import NotFound


@dataclass(frozen=True, slots=True)
class System:
    """What a system brings: module names, imported when the application starts, and its roles.

    `calls` are the operations of others that its handlers may call on an actor's behalf; `roles` map a role's name to
    the scopes it grants; `books` is the module that knows what the ledger has for a device, see `things.books`;
    `system_scopes` are what the system's own workflows and timers may do, besides `roles`.
    """

    name: str
    title: tuple[str, str]
    summary: str
    operations: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    pages: str | None = None
    demo: str | None = None
    workflows: str | None = None
    books: str | None = None
    calls: tuple[str, ...] = ()
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class Registry:
    """Every operation of the given systems by name; importing the modules is part of construction."""

    def __init__(self, systems: Iterable[System]) -> None:
        self.systems: dict[str, System] = {}
        self._operations: dict[str, Operation] = {}
        self._by_request: dict[str, Operation] = {}
        roles: dict[str, set[str]] = {}
        for system in systems:
            assert system.name not in self.systems, f"two systems are named {system.name}"
            self.systems[system.name] = system
            for module in system.tables:
                importlib.import_module(module)
            for module in system.operations:
                self._collect(module)
            for role, scopes in system.roles.items():
                roles.setdefault(role, set()).update(scopes)
        self.roles: Mapping[str, frozenset[str]] = MappingProxyType({r: frozenset(s) for r, s in roles.items()})
        self.scopes = frozenset(op.scope for op in self) - {""}

    def _collect(self, module_name: str) -> None:
        module = importlib.import_module(module_name)
        for value in list(vars(module).values()):
            if isinstance(value, type) and issubclass(value, Request) and "operation" in vars(value):
                operation = value.operation
                if operation is None or operation.handler.__module__ != module_name:
                    continue
                known = self._operations.setdefault(operation.name, operation)
                assert known is operation, f"{operation.name} is declared twice"
                self._by_request[value.__name__] = operation

    def __iter__(self) -> Iterator[Operation]:
        return iter(sorted(self._operations.values(), key=lambda operation: operation.name))

    def __len__(self) -> int:
        return len(self._operations)

    def get(self, name: str) -> Operation:
        """The operation of that name. Raises NotFound."""
        try:
            return self._operations[name]
        except KeyError:
            raise NotFound("operation/unknown", f"There is no operation {name!r}.") from None

    def of(self, request: Request[Any] | type[Request[Any]]) -> Operation:
        """The operation that a request, or its class, belongs to."""
        operation = request.operation
        if operation is None or operation.name not in self._operations:
            raise NotFound("operation/unknown", f"{type(request).__name__} belongs to no system that is installed.")
        return operation
