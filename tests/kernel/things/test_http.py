"""Telemetry over HTTP: the same ingest, and a body of any kind is answered, never with 500."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from entrepot.kernel.database import Database
from entrepot.kernel.operations import BadRequest, Invalid, Refusal
from entrepot.kernel.things import operations as ops
from entrepot.kernel.things.http import PATH, messages, telemetry_route
from entrepot.kernel.things.message import public_key
from entrepot.kernel.things.views import ValueSpec, base64url
from tests.kernel.things.support import NOW_US, TENANT, Server, actor, message, seed


def post(server: Server, *bodies: bytes) -> list[httpx.Response]:
    app = Starlette(routes=[telemetry_route(lambda: server.telemetry, server.clock, 100_000)])

    async def send() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return [await client.post(PATH, content=body) for body in bodies]

    return asyncio.run(send())


def batch(*sent: tuple[str, bytes, int]) -> bytes:
    entries = [b'{"device":"%s","message":%s}' % (topic.split("/")[2].encode(), payload) for topic, payload, _ in sent]
    return b'{"messages":[%s]}' % b",".join(entries)


def test_a_batch_over_http_is_kept_and_acknowledged(database: Database):
    server = Server(database)
    with server.executor:
        server.executor.run(
            ops.RegisterDevice(
                owner="org_owner", title=("a", "b"), public_key=base64url(public_key(seed("dev_a"))),
                values={"level_mm": ValueSpec(unit="mm")}, device_id="dev_a",
            ),
            actor(),
            "register",
        )  # fmt: skip
        one, two = message("dev_a", 1), message("dev_a", 2)
        first, second, empty, broken, huge = post(
            server, batch(one), batch(one, two, message("dev_x", 1)), b"{}", b"{", b" " * 200_000
        )
    assert first.json() == {"accepted": 1, "duplicates": 0, "refused": {}, "acks": {"dev_a": {"seq": 1}}}
    assert second.json() == {
        "accepted": 1, "duplicates": 1, "refused": {"unknown-device": 1}, "acks": {"dev_a": {"seq": 2}}}  # fmt: skip
    assert [answer.status_code for answer in (empty, broken, huge)] == [422, 400, 413]
    assert broken.headers["content-type"] == "application/problem+json"
    server.telemetry.close()


def test_a_key_that_stands_twice_reaches_ingest_as_it_was_sent():
    ((topic, payload, at_us),) = messages(
        b'{"messages":[{"device":"dev_a","message":{"seq":1,"seq":2,"x":[{"a":1,"a":2}]}}]}', TENANT, NOW_US
    )
    assert (topic, at_us) == ("entrepot/lanzhou/dev_a/telemetry", NOW_US)
    assert payload == b'{"seq":1,"seq":2,"x":[{"a":1,"a":2}]}'


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["messages", "device", "message", "seq", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(documents)
def test_any_document_is_a_batch_or_a_refusal(document: Any):
    inside = {"messages": [{"device": "d", "message": document}]}
    for body in (document, {"messages": document}, {"messages": [document]}, inside):
        with contextlib.suppress(BadRequest, Invalid):
            for _, payload, _ in messages(json.dumps(body).encode(), TENANT, NOW_US):
                json.loads(payload)


def test_a_deep_document_is_refused():
    with pytest.raises(Refusal):
        messages(b'{"messages":' + b"[" * 50_000, TENANT, NOW_US)
