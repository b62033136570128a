"""A second system of tests only, which calls the first."""

from entrepot.kernel.operations import Context, Request, System
from tests.kernel.operations.shelf import Mode, Put, Seen


class Fetch(Request[Seen]):
    """Calls another system."""

    name: str
    mode: Mode = "row"


class Loop(Request[Seen]):
    """Calls itself without end."""


@Fetch.command("yard.fetch", http="POST /fetch", scope="yard:act", title=("Fetch", "取"))
def fetch(ctx: Context, request: Fetch) -> Seen:
    return ctx.call(Put(name=request.name, mode=request.mode))


@Loop.command("yard.loop", http="POST /loop", scope="yard:act", title=("Loop", "环"))
def loop(ctx: Context, request: Loop) -> Seen:
    return ctx.call(request)


MANIFEST = System(name="yard", title=("Yard", "场"), summary="For tests", operations=("tests.kernel.operations.yard",))
