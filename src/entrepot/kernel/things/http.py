"""Telemetry over HTTP, for devices that cannot speak MQTT: the same messages, ingest and acknowledgements.

    POST /v1/things/telemetry
    {"messages": [{"device": "dev_tank7", "message": {"seq": …, "at": …, "values": {…}, "sig": …}}]}

Nobody signs in: each message carries the signature of its device. A message counts exactly as if MQTT had brought it.
"""

import json
from collections.abc import Callable
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from entrepot.kernel.operations import BadRequest, Clock, Invalid, Refusal, TooLarge, Unavailable
from entrepot.kernel.things.ingest import MAX_BATCH, Message
from entrepot.kernel.things.message import telemetry_topic
from entrepot.kernel.things.telemetry import Telemetry

PATH = "/v1/things/telemetry"


def telemetry_route(telemetry: Callable[[], Telemetry], clock: Clock, max_body_bytes: int) -> Route:
    """The route; `telemetry` is asked at each request, since it starts after the routes are made."""

    async def endpoint(request: Request) -> Response:
        try:
            body = await _body(request, max_body_bytes)
            service = telemetry()
            batch = messages(body, service.tenant, clock.now_us())
            try:
                result = await service.ingest(batch)
            except Exception as error:
                raise Unavailable("things/not-kept", "The readings were not kept; send them again.") from error
        except Refusal as refusal:
            problem = orjson.dumps(refusal.problem())
            return Response(problem, refusal.status, media_type="application/problem+json")
        except ClientDisconnect:
            return Response(status_code=400)
        answer = {
            "accepted": result.accepted,
            "duplicates": result.duplicates,
            "refused": dict(result.refused),
            "acks": result.acks,
        }
        return Response(orjson.dumps(answer), media_type="application/json")

    return Route(PATH, endpoint, methods=["POST"], name="things.ingest")


def messages(body: bytes, tenant: str, received_us: int) -> list[Message]:
    """The batch of a request's body. Raises BadRequest, Invalid."""
    try:
        # Not orjson: whether a key stands twice in a message is for ingest to see, so texts go through unchanged.
        document = json.loads(body, parse_constant=_refuse_constant, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        raise BadRequest("things/not-json", "The body is not JSON.") from None
    entries = document.get("messages") if isinstance(document, _Pairs) else None
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_BATCH:
        raise Invalid("things/batch", f'Send {{"messages": [...]}} with 1 to {MAX_BATCH} messages.')
    batch = []
    for number, entry in enumerate(entries):
        device = entry.get("device") if isinstance(entry, _Pairs) else None
        message = entry.get("message") if isinstance(entry, _Pairs) else None
        if not isinstance(device, str) or not isinstance(message, _Pairs):
            raise Invalid("things/batch", f'Message {number} is not {{"device": "...", "message": {{...}}}}.')
        try:
            payload = message.text().encode()
        except (UnicodeError, RecursionError):
            raise Invalid("things/batch", f"Message {number} holds a broken character.") from None
        batch.append((telemetry_topic(tenant, device), payload, received_us))
    return batch


class _Pairs:
    """A JSON object as it was written: keys in order, those that stand twice included."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self._pairs = pairs

    def get(self, key: str) -> Any:
        """The value of a key that stands once."""
        found = [value for name, value in self._pairs if name == key]
        return found[0] if len(found) == 1 else None

    def text(self) -> str:
        """As JSON again."""
        return "{" + ",".join(f"{json.dumps(key)}:{_text(value)}" for key, value in self._pairs) + "}"


def _text(value: Any) -> str:
    if isinstance(value, _Pairs):
        return value.text()
    if isinstance(value, list):
        return "[" + ",".join(_text(item) for item in value) + "]"
    return json.dumps(value)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


async def _body(request: Request, limit: int) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise TooLarge("request/too-large", f"A body has at most {limit} bytes; send several batches.")
        parts.append(part)
    return b"".join(parts)
