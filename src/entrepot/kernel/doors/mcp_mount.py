"""Where MCP is served: its library, a fifth of what a start imports, is loaded with the first request to it."""

import asyncio
import importlib
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from entrepot.kernel.doors.rest import RestDoor


class McpMount:
    """An ASGI application for `/mcp`; `close` must be awaited on the same loop before the server ends."""

    def __init__(self, door: RestDoor, *, allowed_hosts: list[str]) -> None:
        self._door = door
        self._allowed_hosts = allowed_hosts
        self._handle: ASGIApp | None = None
        self._opening = asyncio.Lock()
        self._closing = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if self._handle is None:
            async with self._opening:
                if self._handle is None:
                    self._handle = await self._open()
        await self._handle(scope, receive, send)

    async def _open(self) -> ASGIApp:
        module = await asyncio.to_thread(importlib.import_module, "entrepot.kernel.doors.mcp")
        mcp = await asyncio.to_thread(module.McpDoor, self._door, allowed_hosts=self._allowed_hosts)
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._running = asyncio.create_task(self._run(mcp.manager, ready))
        await ready
        handle: ASGIApp = mcp.manager.handle_request
        return handle

    async def _run(self, manager: Any, ready: "asyncio.Future[None]") -> None:
        # Entered and left in one task, as the manager's task group demands.
        try:
            async with manager.run():
                ready.set_result(None)
                await self._closing.wait()
        except Exception as error:
            if ready.done():
                raise
            ready.set_exception(error)

    async def close(self) -> None:
        """End what runs."""
        self._closing.set()
        if self._running is not None:
            await self._running
