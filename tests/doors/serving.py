"""The seeded region behind a real HTTP server, and the four doors as a test uses them."""

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp_types import CallToolResult, Tool

from entrepot.app import Entrepot
from entrepot.kernel.doors.mcp import tool_name
from entrepot.kernel.doors.rest import parse_json
from entrepot.kernel.operations import ManualClock, Operation
from entrepot.web import build_web
from tests.generated.region import START, assembled, path_and_body, seeded, sign_in

PEOPLE = ("per_wang", "per_chen")
Said = tuple[int, dict[str, Any]]


@dataclass
class Served:
    """A running server on the seeded region; `tokens` by person, `objects` as of the region."""

    application: Entrepot
    url: str
    tokens: dict[str, str]
    objects: dict[str, Any]

    def operation(self, name: str) -> Operation:
        """By name."""
        return self.application.registry.get(name)

    # --- the doors: status and JSON of one call ------------------------------------------------------------------

    def rest(self, name: str, person: str, content: dict[str, Any], key: str) -> Said:
        """Over HTTP."""
        response = self.send(name, content, token=self.tokens[person], key=key)
        return response.status_code, response.json()

    def send(self, name: str, content: dict[str, Any], *, token: str = "", key: str = "") -> httpx.Response:
        """One REST request."""
        operation = self.operation(name)
        path, left = path_and_body(operation, content)
        headers = {"authorization": f"Bearer {token}"} if token else {}
        if key:
            headers["idempotency-key"] = key
        if operation.method == "GET":
            return httpx.get(self.url + path, params=left, headers=headers)
        return httpx.request(operation.method, self.url + path, json=left, headers=headers)

    def mcp(self, name: str, person: str, content: dict[str, Any], key: str) -> Said:
        """As an MCP tool. The protocol knows no status: an answer is 200, a refusal says its own."""

        async def call() -> CallToolResult:
            async with self._client(person) as client:
                extra = {"idempotency_key": key} if self.operation(name).kind == "command" else {}
                return await client.call_tool(tool_name(self.operation(name)), {**content, **extra})

        result = asyncio.run(call())
        said = json.loads(result.content[0].text)  # type: ignore[union-attr]
        assert result.is_error or result.structured_content == said
        return (said["status"] if result.is_error else 200), said

    def tools(self, person: str) -> list[Tool]:
        """The MCP tools that a person is offered; "" for nobody."""

        async def listed() -> list[Tool]:
            async with self._client(person) as client:
                return list((await client.list_tools()).tools)

        return asyncio.run(listed())

    @asynccontextmanager
    async def _client(self, person: str) -> AsyncIterator[Client]:
        headers = {"authorization": f"Bearer {self.tokens[person]}"} if person else {}
        async with (
            create_mcp_http_client(headers=headers) as http,
            Client(streamable_http_client(f"{self.url}/mcp/", http_client=http)) as client,
        ):
            yield client

    def command_line(self, name: str, person: str, content: dict[str, Any], key: str) -> Said:
        """As `entrepot <system> <verb> …` in a process of its own."""
        system, _, verb = name.partition(".")
        words = [system, verb.replace("_", "-"), "--key", key]
        for field, value in content.items():
            words += [f"--{field.replace('_', '-')}", value if isinstance(value, str) else json.dumps(value)]
        done = subprocess.run(
            [sys.executable, "-m", "entrepot.cli", *words],
            env={**os.environ, "ENTREPOT_URL": self.url, "ENTREPOT_TOKEN": self.tokens[person]},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        said = json.loads(done.stdout or done.stderr)
        assert (done.returncode == 0) == bool(done.stdout), done.stderr
        return (200 if done.returncode == 0 else said["status"]), said

    def in_process(self, name: str, person: str, content: dict[str, Any], key: str) -> Said:
        """Straight to the executor."""
        request = parse_json(self.operation(name), json.dumps(content).encode(), {})
        actor = self.application.resolver.actor(self.tokens[person])
        outcome = self.application.executor.submit(request, actor, key).result(30)
        return outcome.status, json.loads(outcome.json)

    # --- the log -------------------------------------------------------------------------------------------------

    def events(self, operation: str, count: int = 0) -> dict[str, tuple[Any, ...]]:
        """id → (door, type, actor, party, status, data) of an operation's events, once there are `count`."""
        deadline = time.monotonic() + 10
        while True:
            with self.application.database.reader() as uow:
                sql = "SELECT id, door, type, actor, party, status, data FROM events WHERE operation = %s"
                rows = uow.read(sql, (operation,))
            if len(rows) >= count or time.monotonic() > deadline:
                return {row[0]: row[1:] for row in rows}
            time.sleep(0.02)


# Identifiers, and what is made of them: a receipt's serial number and its fingerprint.
FRESH = re.compile(r"(?<=[a-z]{3}_)[0-9a-hjkmnp-tv-z]{20}\b|(?<=-)[0-9A-Z]{8}\b|\b[0-9a-f]{64}\b")


def without_ids(said: Any) -> Any:
    """The same JSON without what is fresh in each call."""
    return json.loads(FRESH.sub("…", said if isinstance(said, str) else json.dumps(said, sort_keys=True)))


@contextmanager
def serving(database_url: str, folder: Path) -> Iterator[Served]:
    """Seed, stop, and start again as a server with everything on, at any free port of the loopback interface."""
    with seeded(database_url, folder) as region:
        tokens = {person: sign_in(region, person) for person in PEOPLE}
        objects = region.objects
    application = assembled(database_url, folder, ManualClock(START))
    config = uvicorn.Config(
        build_web(application, console=False), host="127.0.0.1", port=0, log_level="warning", lifespan="on", ws="none"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="uvicorn")
    thread.start()
    try:
        deadline = time.monotonic() + 60
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            assert time.monotonic() < deadline, "the server does not open"
            time.sleep(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Served(application, f"http://127.0.0.1:{port}", tokens, objects)
    finally:
        server.should_exit = True
        thread.join(60)
