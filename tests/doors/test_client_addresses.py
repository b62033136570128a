"""Whose address counts: REST, MCP and the console's sign-in share one limiter; a proxy is believed when it is named."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from entrepot.app import Entrepot
from entrepot.console.shell import _Shell
from entrepot.kernel.database import open_database
from entrepot.kernel.doors.limits import RateLimiter
from entrepot.kernel.operations import SystemClock, TooMany, Unauthorised
from entrepot.server import connection_options
from entrepot.settings import Settings, SettingsError, load_settings
from entrepot.web import build_web

BURST = 20
NAMES = itertools.count()


def wrong() -> dict[str, str]:
    """Each try with a name of its own: five with the same would close that account."""
    return {"user_name": f"nobody-{next(NAMES)}", "password": "not a password"}


@asynccontextmanager
async def served(folder: Path, **settings: str) -> AsyncIterator[tuple[Entrepot, FastAPI]]:
    """The application on a database of its own, everything started, no port open."""
    options = Settings.model_validate({"data_dir": folder, "mqtt_port": 0, **settings})
    database = open_database(options.resolved_database_url)
    database.create_all()
    application = Entrepot(options, clock=SystemClock(), database=database)
    application.limiter = RateLimiter(lambda: 1000.0)  # nothing refills while a slow machine hashes passwords
    app = build_web(application, console=False)
    async with app.router.lifespan_context(app):
        yield application, app


def client(app: Any, address: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app, client=(address, 40_000)), base_url="http://127.0.0.1:8080"
    )


async def try_rest(app: Any, address: str, key: str, **headers: str) -> int:
    async with client(app, address) as web:
        response = await web.post(
            "/v1/parties/sessions", json=wrong(), headers={"idempotency-key": key, **headers}, timeout=30
        )
    assert ("retry-after" in response.headers) == (response.status_code == 429)
    return response.status_code


async def try_mcp(app: Any, address: str) -> int:
    call = {"name": "parties_sign_in", "arguments": wrong()}
    async with client(app, address) as web:
        response = await web.post(
            "/mcp/",
            json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call},
            headers={"accept": "application/json, text/event-stream"},
            timeout=30,
        )
    return int(json.loads(response.json()["result"]["content"][0]["text"])["status"])


async def until_refused(attempt: Callable[[int], Any]) -> int:
    """Tries until 429; how many came through."""
    for count in range(BURST * 3):
        if await attempt(count) == 429:
            return count
    raise AssertionError("it is never refused")


def test_each_address_has_its_own_tries_at_rest_and_mcp_together(tmp_path: Path):
    async def story() -> None:
        async with served(tmp_path) as (application, app):
            passed = await until_refused(lambda n: try_rest(app, "192.0.2.1", f"a{n}"))
            assert passed == BURST
            assert await try_mcp(app, "192.0.2.1") == 429
            assert await try_mcp(app, "192.0.2.2") == 401
            assert await try_rest(app, "192.0.2.2", "b") == 401
            for _ in range(100):
                with application.database.reader() as uow:
                    rows = uow.read("SELECT door FROM events WHERE operation = 'parties.sign_in' AND status = 429")
                if {door for (door,) in rows} >= {"rest", "mcp"}:
                    break
                await asyncio.sleep(0.05)
            assert {door for (door,) in rows} >= {"rest", "mcp"}

    asyncio.run(story())


@pytest.mark.parametrize("proxies", ["", "10.0.0.1, fd00::/8"])
def test_a_forwarded_address_counts_only_from_a_proxy_that_is_named(tmp_path: Path, proxies: str):
    async def story() -> None:
        async with served(tmp_path, trusted_proxies=proxies) as (application, bare):
            config = uvicorn.Config(bare, lifespan="off", log_config=None, **connection_options(application.settings))
            config.load()
            app = config.loaded_app

            async def forged(address: str) -> int:
                return await until_refused(
                    lambda n: try_rest(app, address, f"{address}-{n}", **{"x-forwarded-for": f"198.51.100.{n}"})
                )

            assert await forged("203.0.113.9") == BURST, "whoever writes the header himself gains nothing"
            assert await forged("127.0.0.1") == BURST, "nor from this machine"
            behind = {"x-forwarded-for": "203.0.113.77, 192.0.2.5"}
            if proxies:
                assert await until_refused(lambda n: try_rest(app, "10.0.0.1", f"p{n}", **behind)) == BURST
                assert await try_rest(app, "10.0.0.1", "q", **{"x-forwarded-for": "192.0.2.6"}) == 401
                assert await try_rest(app, "fd00::7", "r", **behind) == 429
                assert await try_rest(app, "192.0.2.5", "s") == 429
            else:
                assert await until_refused(lambda n: try_rest(app, "10.0.0.1", f"p{n}", **behind)) == BURST
                assert await try_rest(app, "10.0.0.1", "q", **{"x-forwarded-for": "192.0.2.6"}) == 429

    asyncio.run(story())


def test_the_console_s_sign_in_counts_the_browser_s_address_with_the_other_doors(tmp_path: Path):
    async def story() -> None:
        async with served(tmp_path) as (application, app):
            shell = _Shell(application, ())

            async def attempt(address: str) -> int:
                try:
                    await shell.sign_in(**wrong(), address=address)
                except (TooMany, Unauthorised) as refused:
                    return refused.status
                raise AssertionError("nobody signed in")

            assert await until_refused(lambda _: attempt("192.0.2.1")) == BURST
            assert await attempt("192.0.2.2") == 401
            assert await try_rest(app, "192.0.2.1", "a") == 429
            assert await try_rest(app, "192.0.2.2", "b") == 401

    asyncio.run(story())


@pytest.mark.parametrize("proxies", ["*", "proxy.example", "10.0.0.1/8", "10.0.0.300"])
def test_only_addresses_and_networks_are_trusted(tmp_path: Path, proxies: str):
    with pytest.raises(SettingsError, match="TRUSTED_PROXIES"):
        load_settings({"ENTREPOT_DATA_DIR": str(tmp_path), "ENTREPOT_TRUSTED_PROXIES": proxies})
