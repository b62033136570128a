"""The web server's application: REST, MCP, health, metrics and the console in one ASGI app."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from entrepot import __version__
from entrepot.app import Entrepot
from entrepot.console.shell import DemoAccount, mount_console
from entrepot.health import CONNECTING, DOWN, FIGURES, UP, Health, Report
from entrepot.kernel.doors import openapi
from entrepot.kernel.doors.mcp_mount import McpMount
from entrepot.kernel.doors.rest import RestDoor
from entrepot.kernel.operations import NotFound
from entrepot.kernel.things.http import telemetry_route
from entrepot.memory import calm_collector

SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
}


def build_web(
    application: Entrepot,
    *,
    console: bool = True,
    during: Callable[[], Any] | None = None,
    accounts: Sequence[DemoAccount] = (),
) -> FastAPI:
    """The ASGI application. `during` may return an async context manager that is open while the server runs.

    `accounts` are offered on the sign-in page of a demo.
    """
    settings = application.settings
    rest = RestDoor(
        application.executor,
        application.resolver.resolve,
        tenant=settings.tenant,
        max_body_bytes=settings.max_body_bytes,
        limiter=application.limiter,
    )
    hosts = [f"{settings.host}:*", "127.0.0.1:*", "localhost:*", settings.base_url.partition("://")[2]]
    mcp = McpMount(rest, allowed_hosts=hosts)
    health = Health(application)
    described: dict[str, bytes] = {}

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Not on the loop: the workflow engine refuses to be started where a loop runs.
        await asyncio.get_running_loop().run_in_executor(None, application.start_threads)
        await application.start_telemetry()
        calm_collector()
        try:
            if during is None:
                yield
            else:
                async with during():
                    yield
        finally:
            await mcp.close()
            await application.telemetry.stop()
            await asyncio.get_running_loop().run_in_executor(None, application.stop_threads)
            health.close()
            application.close()

    app = FastAPI(
        title="Entrepot", version=__version__, lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None
    )

    async def describe(request: Request) -> Response:
        if "" not in described:
            described[""] = orjson.dumps(openapi.document(application.registry, base_url=settings.base_url))
        return Response(described[""], media_type="application/json")

    async def alive(request: Request) -> Response:
        return JSONResponse({"status": "ok", "version": __version__})

    async def ready(request: Request) -> Response:
        report = await health.examined()
        return JSONResponse(report.document(), 200 if report.ready else 503)

    async def unknown(request: Request) -> Response:
        problem = NotFound("http/unknown-path", f"There is nothing at {request.url.path}.").problem()
        return Response(orjson.dumps(problem), 404, media_type="application/problem+json")

    metrics_registry = CollectorRegistry(auto_describe=False)
    collector = _Metrics(application)
    metrics_registry.register(collector)

    async def metrics(request: Request) -> Response:
        collector.report = await health.examined()
        return Response(generate_latest(metrics_registry), media_type="text/plain; version=0.0.4; charset=utf-8")

    app.router.routes += [
        Route("/healthz", alive),
        Route("/readyz", ready),
        Route("/metrics", metrics),
        Route("/openapi.json", describe),
        telemetry_route(lambda: application.telemetry, application.clock, settings.max_body_bytes),
        *rest.routes(),
        Route("/v1/{rest:path}", unknown, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
        Mount("/mcp", app=mcp),
    ]
    app.add_middleware(SecurityHeaders)
    if console:
        mount_console(app, application, accounts)
    return app


class SecurityHeaders:
    """Adds the security headers to every HTTP response; a plain ASGI wrapper, cheap on the hot path."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._headers = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]

    async def __call__(
        self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *self._headers]
            await send(message)

        await self._app(scope, receive, sending)


class _Metrics:
    """Counters of the executor and the state of each part in Prometheus' form, made when they are asked for."""

    def __init__(self, application: Entrepot) -> None:
        self._application = application
        self.report = Report()

    def collect(self) -> list[Metric]:
        """Operations by name and status, seconds spent, commands waiting; parts that are up, and what stands still."""
        executor = self._application.executor
        operations = CounterMetricFamily(
            "entrepot_operations", "Operations by name and status", labels=["operation", "status"]
        )
        for (name, status), count in list(executor.counts.items()):
            operations.add_metric([name, str(status)], count)
        seconds = CounterMetricFamily("entrepot_operation_seconds", "Time spent by operation", labels=["operation"])
        for name, spent in list(executor.seconds.items()):
            seconds.add_metric([name], spent)
        waiting = GaugeMetricFamily("entrepot_commands_waiting", "Commands in the queue", value=executor.waiting())
        return [operations, seconds, waiting, *self._state()]

    def _state(self) -> list[Metric]:
        up = GaugeMetricFamily("entrepot_up", "Whether a part does its work", labels=["part"])
        for part, state in self.report.parts.items():
            if state in {UP, DOWN, CONNECTING}:
                up.add_metric([part], float(state == UP))
        figures = [
            GaugeMetricFamily(name, described, value=self.report.figures[name])
            for name, described in FIGURES.items()
            if name in self.report.figures
        ]
        return [up, *figures]
