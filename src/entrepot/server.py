"""The server that `entrepot serve` runs: application, web doors, and the demo when it is wanted."""

from typing import Any

from fastapi import FastAPI

from entrepot import local_tokens
from entrepot.app import Entrepot, installed_systems
from entrepot.settings import Settings
from entrepot.web import build_web


def connection_options(settings: Settings) -> dict[str, Any]:
    """What uvicorn is told about client addresses.

    Forwarded headers count only from the proxies that the settings name. By default it would believe whoever connects
    from this machine, and its own environment variable.
    """
    return {"proxy_headers": bool(settings.proxies), "forwarded_allow_ips": settings.proxies}


def build(settings: Settings) -> FastAPI:
    """The ASGI application of the settings, its schema up to date."""
    systems = installed_systems()
    if settings.demo:
        from entrepot.region.seed import manifest

        systems.append(manifest)
    application = Entrepot(settings, systems=systems, foreign=(local_tokens.reader(settings),))
    application.migrate()
    if not settings.demo:
        if settings.bank_url:
            from entrepot.kernel.banking import HttpBank, use

            use(HttpBank(settings.bank_url))
        return build_web(application)
    from entrepot.region.demo import demo
    from entrepot.region.pages import demo_accounts

    return build_web(application, during=lambda: demo(application), accounts=demo_accounts())
