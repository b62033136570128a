"""Running one operation inside a unit of work: permission, handler, event, stored answer."""

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from random import Random
from typing import Any

import orjson
from opentelemetry.trace import Span, Tracer
from pydantic_core import PydanticSerializationError

from entrepot.kernel.database import Database, Scope, UnitOfWork
from entrepot.kernel.database.unit_of_work import NeedsSavepoint
from entrepot.kernel.events.tables import events
from entrepot.kernel.operations.canonical import canonical, content_hash
from entrepot.kernel.operations.clock import Clock
from entrepot.kernel.operations.context import Actor, Context
from entrepot.kernel.operations.declaration import Answer, Operation, Request
from entrepot.kernel.operations.errors import Conflict, Forbidden, Invalid, Refusal, Unauthorised
from entrepot.kernel.operations.system import Registry
from entrepot.kernel.operations.tables import answered

EVENT_STREAM = "events"
# Nothing was changed, and the same request may succeed later: after signing in, after a pause, after a repair.
UNSTORED_STATUS = frozenset({401, 403, 429, 500, 503})


@dataclass(slots=True)
class Outcome:
    """What came of a call: an answer (status 200) or a problem document."""

    status: int
    json: str
    answer: Answer | None = None
    problem: dict[str, Any] | None = None
    replayed: bool = False

    def result(self) -> Answer:
        """The answer, or the refusal raised."""
        if self.answer is None:
            assert self.problem is not None
            raise Refusal.from_problem(self.problem)
        return self.answer

    @staticmethod
    def refused(refusal: Refusal) -> "Outcome":
        """The outcome of a refusal."""
        problem = refusal.problem()
        return Outcome(refusal.status, orjson.dumps(problem).decode(), problem=problem)


@dataclass(slots=True)
class Call:
    """A request on its way through the executor; an empty `key` (queries, the kernel itself) is never stored."""

    request: Request[Any]
    operation: Operation
    actor: Actor
    key: str
    door: str = "inprocess"
    id: bytes = b""
    request_hash: bytes = b""
    prepared: Any = None
    refused: Refusal | None = None


@dataclass(slots=True)
class Runtime:
    """What every operation shares: database, registry, clock, and how services with settings are made."""

    database: Database
    registry: Registry
    clock: Clock
    hash_key: bytes = b""
    make_workflows: Callable[[Scope], Any] | None = None
    make_documents: Callable[[Scope], Any] | None = None
    make_vault: Callable[[Scope], Any] | None = None
    make_signing: Callable[[Scope], Any] | None = None
    make_things: Callable[[Scope], Any] | None = None
    make_addresses: Callable[[Scope], Any] | None = None
    tracer: Tracer | None = None

    # --- before ------------------------------------------------------------------------------------------------

    def prepare(self, request: Request[Any], actor: Actor, key: str, door: str) -> Call:
        """The call of a request, with the digests that its idempotency needs.

        Raises Invalid for a text that no database keeps: one with NUL or half of a surrogate pair.
        """
        call = Call(request, self.registry.of(request), actor, key, door)
        text = _storable(request)
        if key:
            call.id = hashlib.blake2b(
                f"{actor.tenant}\0{actor.id}\0{key}".encode(), digest_size=16, key=self.hash_key
            ).digest()
            call.request_hash = hashlib.blake2b(
                f"{call.operation.name}\0{text}".encode(), digest_size=16, key=self.hash_key
            ).digest()
        return call

    def stored(self, uow: UnitOfWork, calls: list[Call]) -> dict[bytes, tuple[bytes, int, str]]:
        """Answers already given to the keys of these calls: id → (request hash, status, answer)."""
        ids = [call.id for call in calls if call.id]
        if not ids:
            return {}
        sql = f"SELECT id, request_hash, status, answer FROM answered WHERE {uow.any_('id', len(ids))}"
        return {bytes(row[0]): (bytes(row[1]), row[2], row[3]) for row in uow.read(sql, ids)}

    def replay(self, call: Call, stored: tuple[bytes, int, str]) -> Outcome:
        """The stored answer of the call's key, or a conflict when its content was another."""
        request_hash, status, text = stored
        if request_hash != call.request_hash:
            return Outcome.refused(
                Conflict(
                    "idempotency/other-content",
                    f"The idempotency key {call.key!r} was used with another request; send a new key.",
                )
            )
        if status != 200:
            return Outcome(status, text, problem=orjson.loads(text), replayed=True)
        return Outcome(200, text, answer=call.operation.answer.model_validate_json(text), replayed=True)

    # --- during ------------------------------------------------------------------------------------------------

    def perform(self, uow: UnitOfWork, call: Call, random: Random) -> Outcome:
        """Run a command in the group of `uow`; a refusal takes back the operation alone.

        Raises whatever is not a refusal: the executor then rolls the group back.
        """
        if self.tracer is None:
            return self._perform(uow, call, random)
        with self._span(call) as span:
            outcome = self._perform(uow, call, random)
            span.set_attribute("entrepot.status", outcome.status)
            return outcome

    def _span(self, call: Call) -> AbstractContextManager[Span]:
        assert self.tracer is not None
        about = {"entrepot.tenant": call.actor.tenant, "entrepot.actor": call.actor.id, "entrepot.door": call.door}
        return self.tracer.start_as_current_span(call.operation.name, attributes=about)

    def _perform(self, uow: UnitOfWork, call: Call, random: Random) -> Outcome:
        savepoint = call.operation.needs_savepoint
        while True:
            context = Context(self, uow, call.actor, call.operation, self.clock.now_us(), random)
            context.prepared = call.prepared
            uow.begin_operation(savepoint=savepoint)
            try:
                self.check_permission(context, call.operation, call.request)
                if call.refused is not None:
                    raise call.refused
                answer = call.operation.handler(context, call.request)
                uow.end_operation()
                if uow.locked_rows:
                    call.operation.locks_rows = True  # learned once: see the executor
                break
            except NeedsSavepoint:
                uow.refuse_operation()
                savepoint = call.operation.needs_savepoint = True
            except Refusal as refusal:
                uow.refuse_operation()
                return self.record_refusal(uow, call, refusal, random)
        return self._record_answer(uow, call, answer, context)

    def ask(self, uow: UnitOfWork, call: Call, random: Random) -> Outcome:
        """Run a query on a read-only unit of work. Raises Refusal."""
        if self.tracer is not None:
            with self._span(call):
                return self._ask(uow, call, random)
        return self._ask(uow, call, random)

    def _ask(self, uow: UnitOfWork, call: Call, random: Random) -> Outcome:
        context = Context(self, uow, call.actor, call.operation, self.clock.now_us(), random)
        self.check_permission(context, call.operation, call.request)
        answer = call.operation.handler(context, call.request)
        return Outcome(200, answer.model_dump_json(), answer=answer)

    def check_permission(self, context: Context, operation: Operation, request: Request[Any]) -> None:
        """Raise Unauthorised or Forbidden unless the actor may run the operation on this object."""
        if operation.scope and operation.scope not in context.actor.scopes:
            if context.actor.kind == "anonymous":
                raise Unauthorised("sign-in/required", f"Sign in to use {operation.name}.")
            raise Forbidden(
                "permission/no-scope",
                f"{operation.name} needs the permission {operation.scope}.",
                scope=operation.scope,
            )
        self.check_relation(context, operation, request)

    def check_relation(self, context: Context, operation: Operation, request: Request[Any]) -> None:
        """Raise Forbidden unless the actor's party stands in the declared relation; systems act for the tenant."""
        if context.actor.kind == "system":
            return
        rule = operation.relation
        if rule is not None and not rule.check(context, request):
            raise Forbidden("permission/no-relation", f"{operation.name}: you must be {rule.describe()}.")
        barred = operation.not_by
        if barred is not None and barred.check(context, request):
            raise Forbidden(
                "permission/own-approval",
                f"{operation.name}: another person must do this, not the one who asked for it.",
            )

    @staticmethod
    def nested_event(operation: Operation, request: Request[Any], answer: Answer) -> tuple[str, dict[str, Any], str]:
        """The event of a command that ran inside another."""
        data = {
            "request": request.model_dump(mode="json", exclude=set(operation.hidden)),
            "answer": answer.model_dump(mode="json", exclude=set(operation.hidden_answer)),
        }
        return operation.name, data, _subject(operation, request, answer)

    # --- after -------------------------------------------------------------------------------------------------

    def _record_answer(self, uow: UnitOfWork, call: Call, answer: Answer, context: Context) -> Outcome:
        operation = call.operation
        text = answer.model_dump_json()
        kept = self.kept(call, Outcome(200, text, answer=answer))
        data = f'{{"request":{_request_json(call)},"answer":{kept}}}'
        self._write_event(uow, context, call, operation.name, _subject(call.operation, call.request, answer), 200, data)
        for kind, extra, subject in context.emitted:
            self._write_event(uow, context, call, kind, subject, 200, canonical(extra))
        if call.id:
            uow.insert(
                answered,
                (call.id, call.actor.tenant, operation.name, call.request_hash, 200, kept, context.now_us),
            )
        return Outcome(200, text, answer=answer)

    @staticmethod
    def kept(call: Call, outcome: Outcome) -> str:
        """What of an outcome is stored, and answered to its key from then on: no personal or secret field."""
        hidden = call.operation.hidden_answer
        if outcome.answer is None or not hidden:
            return outcome.json
        return outcome.answer.model_dump_json(exclude=set(hidden))

    def record_refusal(self, uow: UnitOfWork, call: Call, refusal: Refusal, random: Random) -> Outcome:
        """Leave the event of a refusal and, where the same key must meet the same answer, the answer."""
        context = Context(self, uow, call.actor, call.operation, self.clock.now_us(), random)
        outcome = Outcome.refused(refusal)
        data = f'{{"request":{_request_json(call)},"problem":{outcome.json}}}'
        self._write_event(
            uow, context, call, call.operation.name, _subject(call.operation, call.request, None), refusal.status, data
        )
        if call.id and refusal.status not in UNSTORED_STATUS:
            uow.insert(
                answered,
                (call.id, call.actor.tenant, call.operation.name, call.request_hash, refusal.status, outcome.json,
                 context.now_us),
            )  # fmt: skip
        return outcome

    def _write_event(
        self, uow: UnitOfWork, context: Context, call: Call, kind: str, subject: str, status: int, data: str
    ) -> None:
        actor, identifier = call.actor, context.new_id("evt")
        fields = (
            actor.tenant, identifier, kind, subject, actor.id, actor.party, context.now_us, call.operation.name,
            call.door, status, data,
        )  # fmt: skip
        digest = content_hash(*fields)
        uow.insert(events, (*fields, digest))
        uow.seal(actor.tenant, EVENT_STREAM, identifier, digest)


def _storable(request: Request[Any]) -> str:
    try:
        text = request.model_dump_json()
    except PydanticSerializationError:
        raise Invalid(
            "request/broken-character", "A text holds half of a surrogate pair: send whole characters."
        ) from None
    if "\\u0000" in text and "\\x00" in repr(request.model_dump()):
        raise Invalid("request/nul-character", "A text holds the character NUL, which cannot be kept.")
    return text


def _request_json(call: Call) -> str:
    hidden = call.operation.hidden
    return call.request.model_dump_json(exclude=set(hidden)) if hidden else call.request.model_dump_json()


def _subject(operation: Operation, request: Request[Any], answer: Answer | None) -> str:
    if operation.subject:
        for source in (answer, request):
            value = getattr(source, operation.subject, "") if source is not None else ""
            if value:
                return str(value)
    rule = operation.relation
    if rule is not None and not rule.own_party:
        return str(getattr(request, rule.field, "") or "")
    return str(getattr(answer, "id", "") or "")


__all__ = ["Call", "Outcome", "Runtime"]
