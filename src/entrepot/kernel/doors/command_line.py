"""The command line door: `entrepot <system> <verb> --field value` for every operation, spoken to a server over HTTP."""

import secrets
import sys
from typing import Any
from urllib.parse import quote

import click
import httpx
import orjson
from rich.console import Console
from rich.syntax import Syntax

from entrepot.kernel.doors.rest import path_fields, route_path
from entrepot.kernel.operations import Operation, Registry

REFUSED = 2


def system_groups(registry: Registry) -> list[click.Group]:
    """One click group for each system that has operations."""
    groups: dict[str, click.Group] = {}
    for operation in registry:
        system = registry.systems.get(operation.system)
        title = f"{system.title[0]} {system.title[1]}" if system else operation.system
        group = groups.setdefault(operation.system, click.Group(operation.system, help=title))
        group.add_command(_command(operation))
    return list(groups.values())


def _command(operation: Operation) -> click.Command:
    options: list[click.Parameter] = [
        click.Option(
            [f"--{name.replace('_', '-')}", name],
            required=info.is_required(),
            help=info.description or "",
            multiple=_repeats(info.annotation),
        )
        for name, info in operation.request.model_fields.items()
    ]
    options += [
        click.Option(["--key"], help="Idempotency key: repeat the command with the same one. A fresh one by default."),
        click.Option(["--url"], envvar="ENTREPOT_URL", default="http://127.0.0.1:8080", show_default=True),
        click.Option(["--token"], envvar="ENTREPOT_TOKEN", default="", help="From `entrepot token --as ROLE`."),
    ]
    if operation.confirm:
        options.append(click.Option(["--yes"], is_flag=True, help="Do not ask for confirmation."))

    def run(**values: Any) -> None:
        url, token, key = values.pop("url"), values.pop("token"), values.pop("key")
        if operation.confirm and not values.pop("yes") and sys.stdin.isatty():
            click.confirm(f"{operation.title[0]} {operation.title[1]}?", abort=True)
        fields = {name: _value(operation, name, value) for name, value in values.items() if value not in (None, ())}
        status, content = call(url, token, operation, fields, key or secrets.token_hex(16))
        show(content, refused=status != 200)
        if status != 200:
            sys.exit(REFUSED)

    return click.Command(
        operation.name.partition(".")[2].replace("_", "-"),
        params=options,
        callback=run,
        help=f"{operation.summary}\n\n{operation.title[1]}",
        short_help=f"{operation.title[0]} {operation.title[1]}",
    )


def call(url: str, token: str, operation: Operation, fields: dict[str, Any], key: str) -> tuple[int, dict[str, Any]]:
    """Run an operation on a server: HTTP status and the answer or problem document.

    Raises click.ClickException when the server cannot be reached.
    """
    headers = {"idempotency-key": key, "x-entrepot-door": "cli"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    path = route_path(operation)
    for name in path_fields(operation):
        path = path.replace(f"{{{name}}}", quote(str(fields.pop(name, "")), safe=""))
    in_query = operation.method == "GET"
    try:
        response = httpx.request(
            operation.method,
            url.rstrip("/") + path,
            params=fields if in_query else None,
            content=None if in_query else orjson.dumps(fields),
            headers=headers if in_query else {**headers, "content-type": "application/json"},
            timeout=60,
        )
    except httpx.HTTPError as error:
        raise click.ClickException(f"{url} does not answer ({error}). Is `entrepot serve` running?") from None
    return response.status_code, dict(orjson.loads(response.content))


def show(content: dict[str, Any], *, refused: bool) -> None:
    """Print an answer, or a refusal in red on the error stream; plain JSON where the output is no terminal."""
    text = orjson.dumps(content, option=orjson.OPT_INDENT_2).decode()
    console = Console(stderr=refused)
    if refused and console.is_terminal:
        console.print(f"[bold red]{content.get('title')} {content.get('title_zh', '')}[/]: {content.get('detail')}")
    elif console.is_terminal:
        console.print(Syntax(text, "json", background_color="default"))
    else:
        click.echo(text, err=refused)


def _repeats(annotation: Any) -> bool:
    return getattr(annotation, "__origin__", None) in {list, tuple}


def _value(operation: Operation, name: str, value: Any) -> Any:
    """A typed JSON value from the text of an option: numbers, booleans and objects are read as JSON."""
    if isinstance(value, tuple):
        return [_value(operation, name, item) for item in value]
    if operation.method == "GET" or name in path_fields(operation):
        return value
    schema = operation.request.model_json_schema()
    described = schema.get("properties", {}).get(name, {})
    kinds = {described.get("type"), *(option.get("type") for option in described.get("anyOf", ()))}
    if "string" in kinds or described.get("items", {}).get("type") == "string":
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value  # the server says what is wrong with it
