"""The registry of operations: declarations, context, permission, idempotency, errors, and the executor at the edge."""

from entrepot.kernel.operations.canonical import canonical, content_hash
from entrepot.kernel.operations.clock import Clock, ManualClock, SystemClock
from entrepot.kernel.operations.context import Actor, Context
from entrepot.kernel.operations.declaration import Answer, Operation, Personal, Request, Secret
from entrepot.kernel.operations.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Refusal,
    TooLarge,
    TooMany,
    Unauthorised,
    Unavailable,
)
from entrepot.kernel.operations.executor import Executor
from entrepot.kernel.operations.relations import (
    RelationRule,
    creditor_of,
    custodian_of,
    own_party,
    owner_of,
    related,
    requester_of,
)
from entrepot.kernel.operations.runtime import Call, Outcome, Runtime
from entrepot.kernel.operations.system import Registry, System

__all__ = [
    "Actor",
    "Answer",
    "BadRequest",
    "Call",
    "Clock",
    "Conflict",
    "Context",
    "Executor",
    "Forbidden",
    "Invalid",
    "ManualClock",
    "NotFound",
    "Operation",
    "Outcome",
    "Personal",
    "Refusal",
    "Registry",
    "RelationRule",
    "Request",
    "Runtime",
    "Secret",
    "System",
    "SystemClock",
    "TooLarge",
    "TooMany",
    "Unauthorised",
    "Unavailable",
    "canonical",
    "content_hash",
    "creditor_of",
    "custodian_of",
    "own_party",
    "owner_of",
    "related",
    "requester_of",
]
