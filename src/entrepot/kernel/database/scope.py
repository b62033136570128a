"""What a kernel service needs of the running operation."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any

from entrepot.kernel.database.schema import from_us
from entrepot.kernel.database.unit_of_work import UnitOfWork


@dataclass(slots=True)
class Scope:
    """Unit of work, tenant, time, randomness, identifiers and events of one operation.

    Services are constructed as `Service(scope)`; the construction itself asks nothing of the database.
    """

    uow: UnitOfWork
    tenant: str
    now_us: int
    random: Random
    new_id: Callable[[str], str]
    actor_id: str
    emit: Callable[[str, dict[str, Any], str], None]

    @property
    def now(self) -> datetime:
        """The operation's time, aware UTC."""
        return from_us(self.now_us)
