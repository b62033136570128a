"""Relation rules of operations: who may touch the object that a request names."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from entrepot.kernel.operations.context import Context


@dataclass(frozen=True, slots=True)
class RelationRule:
    """`check(ctx, request)` is true when the actor's party stands in one of `relations` to the object in `field`.

    `field` and `relations` are data, so that the generated wrong-user tests can arrange the opposite.
    """

    field: str
    relations: tuple[str, ...]
    check: Callable[["Context", Any], bool]
    own_party: bool = False
    optional: bool = False

    def describe(self) -> str:
        """For the API description, for example "owner of receipt_id"."""
        if self.own_party:
            return f"{self.field} is the actor's own party"
        return f"{' or '.join(self.relations)} of {self.field}"


def related(field: str, *relations: str, optional: bool = False) -> RelationRule:
    """The actor's party has one of `relations` to the object whose id is in `field`.

    With `optional` an empty field passes: the handler then lists only what the party may see. "supervisor" is also
    whoever holds the scope `<system>:supervise`.
    """

    def check(ctx: "Context", request: Any) -> bool:
        object_id = getattr(request, field)
        if not object_id:
            return optional
        party = ctx.actor.party
        if "supervisor" in relations and f"{ctx.operation.system}:supervise" in ctx.actor.scopes:
            return True  # who supervises a system (监管) stands so to all of its objects
        return any(ctx.relations.has(object_id, relation, party) for relation in relations)

    return RelationRule(field, relations, check, optional=optional)


def owner_of(field: str) -> RelationRule:
    """The actor's party owns the object."""
    return related(field, "owner")


def custodian_of(field: str) -> RelationRule:
    """The actor's party keeps the object (监管方/保管人)."""
    return related(field, "custodian")


def creditor_of(field: str) -> RelationRule:
    """The actor's party is the creditor of the object."""
    return related(field, "creditor")


def own_party(field: str) -> RelationRule:
    """The field names the party that the actor acts for."""

    def check(ctx: "Context", request: Any) -> bool:
        return bool(getattr(request, field) == ctx.actor.party)

    return RelationRule(field, (), check, own_party=True)


def requester_of(field: str) -> RelationRule:
    """The person who requested the object; as `not_by` it forbids approving an own request."""

    def check(ctx: "Context", request: Any) -> bool:
        return ctx.relations.has(getattr(request, field), "requester", ctx.actor.id)

    return RelationRule(field, ("requester",), check)
