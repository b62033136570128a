"""The command line: serve, tokens, books, replay, scaffold, and every operation of the registry."""

import contextlib
import logging
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from entrepot.settings import Settings, SettingsError, load_settings

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Entrepot, an open platform for a region's economy.")
ledger = typer.Typer(no_args_is_help=True, help="The books: verify and export.")
app.add_typer(ledger, name="ledger")
console = Console(width=None if sys.stdout.isatty() else 120)
Data = Annotated[Path | None, typer.Option("--data", help="Data folder; ./var by default")]


class _Stop(typer.Exit):
    """Ends with a plain sentence on the error stream."""

    def __init__(self, message: str) -> None:
        super().__init__(2)
        typer.echo(f"entrepot: {message}", err=True)


def settings_of(**overrides: Any) -> Settings:
    """The settings, or a plain sentence about what is wrong with them."""
    try:
        return load_settings(**overrides)
    except SettingsError as error:
        raise _Stop(f"settings: {error}") from None


@app.command()
def serve(
    port: Annotated[int | None, typer.Option(help="HTTP port; 8080 by default")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; this machine only by default")] = None,
    data: Data = None,
    demo: Annotated[bool, typer.Option(help="Seed and run the demo region")] = False,
) -> None:
    """Start the server: console, REST, MCP, telemetry, durable work."""
    import uvicorn

    from entrepot.server import build, connection_options

    settings = settings_of(port=port, host=host, data_dir=data, demo=demo or None)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    for noisy in ("httpx", "dbos", "sqlalchemy", "mcp"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    console.print(f"[bold]Entrepot[/] opens on [link={settings.base_url}]{settings.base_url}[/link] …")
    if settings.demo:
        from entrepot.region.plan import DEMO_PASSWORD

        console.print(f"The demo's people sign in with the password [bold]{DEMO_PASSWORD}[/] (see the README's tour).")
    uvicorn.run(
        build(settings), host=settings.host, port=settings.port, log_level="warning", ws="websockets-sansio",
        timeout_graceful_shutdown=5, **connection_options(settings),
    )  # fmt: skip


@app.command()
def token(
    role: Annotated[str, typer.Option("--as", help="A role of the demo region, such as trader or bank_clerk")],
    data: Data = None,
    hours: Annotated[int, typer.Option(min=1, max=720, help="How long it is valid")] = 12,
) -> None:
    """Print a bearer token for one of the demo region's people, found by role."""
    from entrepot import local_tokens
    from entrepot.kernel.operations import SystemClock
    from entrepot.region.plan import PEOPLE

    settings = settings_of(data_dir=data)
    people = [person for person in PEOPLE if role in (*person.roles, person.user_name, person.id)]
    if not people:
        roles = sorted({r for person in PEOPLE for r in person.roles})
        raise _Stop(f"nobody has the role {role!r}; there are {', '.join(roles)}")
    until_us = SystemClock().now_us() + hours * 3_600_000_000
    typer.echo(local_tokens.issue(settings, people[0].id, people[0].organisation, until_us))


@app.command()
def migrate(data: Data = None) -> None:
    """Bring the database's schema up to date."""
    from entrepot.app import build_registry
    from entrepot.kernel.database import open_database
    from entrepot.migrations import upgrade

    settings = settings_of(data_dir=data)
    build_registry()
    with contextlib.closing(open_database(settings.resolved_database_url)) as database:
        upgrade(database)
    console.print("The schema is up to date.")


@ledger.command("verify")
def verify(
    data: Data = None, tenant: Annotated[str, typer.Option(help="Tenant; the settings' by default")] = ""
) -> None:
    """Recompute every hash, balance and hold; name each row that differs. Exit status 1 when one does."""
    from entrepot.books import verify_books

    settings = settings_of(data_dir=data)
    with console.status("Verifying the books"):
        found = verify_books(settings, tenant or settings.tenant)
    if not found:
        console.print("[green]The books hold:[/] chain, events, ledger, keys, vault and documents are as sealed.")
        return
    table = Table("where", "what", title=f"{len(found)} differences", title_style="bold red")
    for where, what in found:
        table.add_row(where, what)
    console.print(table)
    sys.exit(1)


@ledger.command("export")
def export(
    form: Annotated[str, typer.Option("--format", help="hledger or beancount")],
    data: Data = None,
    tenant: Annotated[str, typer.Option(help="Tenant; the settings' by default")] = "",
) -> None:
    """Print the ledger as a journal that hledger or Beancount accepts and balances."""
    from entrepot.kernel.database import open_database
    from entrepot.kernel.ledger import export_journal

    if form not in {"hledger", "beancount"}:
        raise _Stop(f"--format is hledger or beancount, not {form!r}")
    settings = settings_of(data_dir=data)
    with contextlib.closing(open_database(settings.resolved_database_url)) as database:
        for line in export_journal(database, tenant or settings.tenant, form):
            typer.echo(line, nl=not line.endswith("\n"))


@app.command()
def replay(
    since: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day")],
    until: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day")],
    facilities: Annotated[int, typer.Option(min=1, max=500, help="How many facilities")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of chance")] = 2008,
) -> None:
    """Replay pledged lending over real Brent prices with a moved clock: margin calls, releases, disposals."""
    from entrepot.region.replay import replay_region

    replay_region(since.date(), until.date(), facilities=facilities, seed=seed, console=console)


@app.command("new-system")
def new_system(
    name: Annotated[str, typer.Argument(help="A plain English noun in lower case, such as insurance")],
    folder: Annotated[Path, typer.Option(help="The checkout to write into")] = Path(),
) -> None:
    """Write a new system's folder with its README and tests; it runs as it is."""
    from entrepot.scaffold import ScaffoldError, write_system

    try:
        written = write_system(name, folder)
    except ScaffoldError as error:
        raise _Stop(str(error)) from None
    for path in written:
        console.print(f"  [green]wrote[/] {path}")
    console.print(f"Now: [bold]make test PYTEST_ARGS=tests/systems/{name}[/], then read docs/tutorial.md.")


@app.command()
def operations() -> None:
    """List every operation: `entrepot SYSTEM VERB --field value` runs it on a server."""
    from entrepot.app import build_registry, installed_systems

    table = Table("command", "what", "什么", "permission", box=None)
    for operation in build_registry(installed_systems()):
        system, _, verb = operation.name.partition(".")
        table.add_row(f"{system} {verb.replace('_', '-')}", *operation.title, operation.scope or "everyone")
    console.print(table)


OWN = {"serve", "token", "migrate", "replay", "new-system", "operations"}
OWN_OF_LEDGER = {"verify", "export"}


def main() -> None:
    """The entry point: our own commands, else the operations of a system."""
    words = sys.argv[1:]
    first = words[0] if words else ""
    if first in OWN or first.startswith("-") or not first or (first == "ledger" and {*words} & OWN_OF_LEDGER):
        app()
        return
    from entrepot.app import build_registry, installed_systems
    from entrepot.kernel.doors.command_line import system_groups
    from entrepot.region.seed import manifest

    groups = {str(group.name): group for group in system_groups(build_registry([*installed_systems(), manifest]))}
    if first not in groups:
        raise SystemExit(f"entrepot: no command {first!r}. Commands: {', '.join(sorted({*OWN, *groups}))}")
    groups[first].main(words[1:], prog_name=f"entrepot {first}")


if __name__ == "__main__":
    main()
