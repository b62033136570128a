"""The server that `entrepot serve` runs: application, web doors, and the demo when it is wanted."""

from fastapi import FastAPI

from entrepot import local_tokens
from entrepot.app import Entrepot, installed_systems
from entrepot.settings import Settings
from entrepot.web import build_web


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
