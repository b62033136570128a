"""REST: one route for each operation under `/v1/<system>/…`, as plain Starlette handlers over the declared types."""

import re
from collections.abc import Awaitable, Callable, Iterable
from functools import cached_property
from typing import Any

import orjson
from pydantic import ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from entrepot.kernel.doors.limits import RateLimiter
from entrepot.kernel.operations import (
    Actor,
    Answer,
    BadRequest,
    Executor,
    Invalid,
    Operation,
    Outcome,
    Refusal,
    TooLarge,
    Unauthorised,
)
from entrepot.kernel.operations import Request as OperationRequest

Resolve = Callable[[str], Awaitable[Actor]]
KEY_HEADER = "idempotency-key"
MAX_KEY_LENGTH = 255
KEY = re.compile(r"[!-~]+")
INTEGER = re.compile(r"-?[0-9]{1,18}")
PROBLEM_JSON = "application/problem+json"
Parsed = OperationRequest[Answer]


class OperationRoute(Route):
    """A route that compares the fixed beginning of its path before its pattern: there are hundreds to pass by."""

    @cached_property
    def fixed(self) -> str:
        """The path up to its first field."""
        return self.path.partition("{")[0]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As every route, with the same answer."""
        if not scope.get("root_path") and not scope["path"].startswith(self.fixed):
            return Match.NONE, {}
        return super().matches(scope)


class RestDoor:
    """Routes of every operation of the executor's registry.

    `resolve(token)` returns the actor of a bearer token or raises Unauthorised; `tenant` is the tenant of callers who
    are not signed in.
    """

    def __init__(
        self, executor: Executor, resolve: Resolve, *, tenant: str, max_body_bytes: int, limiter: RateLimiter | None
    ) -> None:
        self.executor = executor
        self.resolve = resolve
        self.anonymous = Actor.anonymous(tenant)
        self.max_body_bytes = max_body_bytes
        self.limiter = limiter

    def routes(self) -> Iterable[Route]:
        """One Starlette route for each operation; fixed paths come before those with fields."""
        operations = sorted(self.executor.runtime.registry, key=lambda op: (op.path.count("{"), op.path))
        for operation in operations:
            yield OperationRoute(route_path(operation), self._endpoint(operation), methods=[operation.method])

    def _endpoint(self, operation: Operation) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            outcome = await self.handle(operation, request)
            headers = {"idempotency-replayed": "true"} if outcome.replayed else {}
            if outcome.status == 200:
                return Response(outcome.json, media_type="application/json", headers=headers)
            problem = outcome.problem or {}
            if outcome.status == 401:
                headers["www-authenticate"] = "Bearer"
            if "retry_after_s" in problem:
                headers["retry-after"] = str(problem["retry_after_s"])
            return Response(
                outcome.json or orjson.dumps(problem), outcome.status, media_type=PROBLEM_JSON, headers=headers
            )

        endpoint.__name__ = operation.name.replace(".", "_")
        return endpoint

    async def handle(self, operation: Operation, request: Request) -> Outcome:
        """Read, sign in, limit, run. Every refusal becomes an outcome."""
        actor = self.anonymous
        door = "cli" if request.headers.get("x-entrepot-door") == "cli" else "rest"
        try:
            actor = await self.actor(request.headers.get("authorization", ""))
            key = _key(operation, request)
            parsed = await self._parse(operation, request)
        except Refusal as refusal:
            if refusal.status == 401:
                self.leave_event(operation, actor, refusal, door)
            return Outcome.refused(refusal)
        except ClientDisconnect:
            return Outcome.refused(BadRequest("http/disconnected", "The connection ended before the request did."))
        if self.limiter is not None:
            refused = self.limiter.check(actor, operation, address_of(request))
            if refused is not None:
                self.leave_event(operation, actor, refused, door)
                return Outcome.refused(refused)
        return await self.executor.outcome(parsed, actor, key, door)

    async def actor(self, header: str) -> Actor:
        """The actor of an Authorization header, anonymous without one. Raises Unauthorised."""
        if not header:
            return self.anonymous
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthorised("sign-in/scheme", "Use the header Authorization: Bearer <token>.")
        return await self.resolve(token.strip())

    async def _parse(self, operation: Operation, request: Request) -> Parsed:
        if operation.method == "GET" or (operation.method == "DELETE" and not request.headers.get("content-type")):
            return parse_strings(operation, [*request.query_params.multi_items(), *request.path_params.items()])
        if request.query_params:
            raise Invalid("http/query-not-taken", f"{operation.name} takes its fields in the body, not in the URL.")
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type not in {"application/json", ""}:
            raise BadRequest("http/media-type", f"Send application/json, not {media_type}.")
        return parse_json(operation, await self._body(request), request.path_params)

    async def _body(self, request: Request) -> bytes:
        limit = self.max_body_bytes
        chunks: list[bytes] = []
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise TooLarge("http/body-too-large", f"A request body may have {limit} bytes.", limit_bytes=limit)
            chunks.append(chunk)
        return b"".join(chunks)

    def leave_event(self, operation: Operation, actor: Actor, refusal: Refusal, door: str) -> None:
        """Record what a door refused by itself: a dead token, a rate limit."""
        self.executor.refuse(operation, operation.request.model_construct(), actor, refusal, door)


def address_of(request: Request | None) -> str:
    """The address of the client: the connection's, or what a trusted proxy says; "" where there is none."""
    return request.client.host if request is not None and request.client is not None else ""


def route_path(operation: Operation) -> str:
    """`/v1/<system>/…` of an operation."""
    return f"/v1/{operation.system}{operation.path}"


def path_fields(operation: Operation) -> list[str]:
    """The request fields that stand in the path."""
    return [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]


def parse_json(operation: Operation, body: bytes, path: dict[str, Any]) -> Parsed:
    """The request in a JSON body, completed with the fields of the path. Raises BadRequest, Invalid.

    JSON has types of its own: `"100"` or `true` is no amount, and is refused rather than guessed.
    """
    try:
        if not path:
            return operation.request.model_validate_json(body or b"{}", strict=True)
        content = orjson.loads(body or b"{}")
        if not isinstance(content, dict):
            raise BadRequest("http/not-an-object", "The body must be a JSON object.")
        for name, text in path.items():
            if operation.request.model_fields[name].annotation is int and INTEGER.fullmatch(text):
                text = int(text)
            if name in content and content[name] != text:
                raise Invalid("http/path-differs", f"The field {name} differs between the path and the body.")
            content[name] = text
        return operation.request.model_validate_json(orjson.dumps(content), strict=True)
    except ValidationError as error:
        raise validation_refusal(error) from None
    except orjson.JSONDecodeError as error:
        raise BadRequest("http/not-json", f"The body is not JSON: {error}.") from None


def parse_strings(operation: Operation, items: Iterable[tuple[str, str]]) -> Parsed:
    """The request in the text fields of a query or path; a repeated field is a list. Raises Invalid."""
    fields = operation.request.model_fields
    values: dict[str, Any] = {}
    for name, text in items:
        info = fields.get(name)
        if info is not None and _is_list(info.annotation):
            values.setdefault(name, []).append(text)
        elif name in values:
            raise Invalid("http/repeated", f"The field {name} was sent twice.")
        else:
            values[name] = text
    try:
        return operation.request.model_validate_strings(values)
    except ValidationError as error:
        raise validation_refusal(error) from None


def validation_refusal(error: ValidationError) -> Refusal:
    """What was wrong and where, without repeating the input (it may be secret)."""
    problems = [
        {"field": ".".join(str(part) for part in problem["loc"]) or "(body)", "problem": str(problem["msg"])}
        for problem in error.errors(include_url=False, include_input=False, include_context=False)[:20]
    ]
    detail = "; ".join(f"{problem['field']}: {problem['problem']}" for problem in problems)
    if any(problem["type"] == "json_invalid" for problem in error.errors(include_input=False, include_context=False)):
        return BadRequest("http/not-json", detail)
    return Invalid("request/invalid", detail, errors=problems)


def _is_list(annotation: Any) -> bool:
    return getattr(annotation, "__origin__", None) in {list, tuple, set, frozenset}


def _key(operation: Operation, request: Request) -> str:
    if operation.kind == "query":
        return ""
    key = request.headers.get(KEY_HEADER, "").strip(" \t")  # what HTTP allows around a value
    if not key:
        raise BadRequest(
            "idempotency/key-missing",
            "A command needs the header Idempotency-Key: a text of up to 255 characters, the same when you repeat it.",
        )
    if len(key) > MAX_KEY_LENGTH or KEY.fullmatch(key) is None:
        raise BadRequest(
            "idempotency/key-invalid", "Idempotency-Key has 1 to 255 visible ASCII characters, and no space among them."
        )
    return key
