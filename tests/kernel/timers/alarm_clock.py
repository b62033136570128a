"""A system of tests only: commands that timers run, and commands that set timers."""

from datetime import UTC, datetime, time, timedelta

from entrepot.kernel.operations import Answer, Conflict, Context, Request, System

manifest = System(
    name="clock",
    title=("Clock", "钟"),
    summary="For tests",
    operations=("tests.kernel.timers.alarm_clock",),
)


class Rung(Answer):
    """That it rang."""

    id: str


class Ring(Request[Rung]):
    """Ring: leaves a case, so that a second ring would be seen."""

    name: str
    refuse: bool = False
    crash: bool = False


class SetRing(Request[Rung]):
    """Have it ring at a time."""

    name: str
    after_s: int
    every_s: int = 0
    refuse: bool = False
    crash: bool = False


class SetDaily(Request[Rung]):
    """Have it ring every open day."""

    name: str
    at: time
    calendar: str


class Snooze(Request[Rung]):
    """Fired by its own timer: sets it again, an hour later, three times."""

    name: str
    left: int


@Ring.command("clock.ring", http="POST /rings", scope="clock:ring", title=("Ring", "响铃"))
def ring(ctx: Context, request: Ring) -> Rung:
    ctx.cases.open("alarm", request.name, ("Rang", "响了"), due_us=ctx.now_us)
    if request.refuse:
        raise Conflict("clock/broken", "The bell is broken.")
    if request.crash:
        raise ZeroDivisionError
    return Rung(id=request.name)


@SetRing.command("clock.set", http="POST /sets", scope="clock:set", title=("Set", "设"))
def set_ring(ctx: Context, request: SetRing) -> Rung:
    ring = Ring(name=request.name, refuse=request.refuse, crash=request.crash)
    ctx.timers.at(ctx.now + timedelta(seconds=request.after_s), ring, request.name, every_s=request.every_s)
    return Rung(id=request.name)


@SetDaily.command("clock.daily", http="POST /dailies", scope="clock:set", title=("Daily", "每日"))
def set_daily(ctx: Context, request: SetDaily) -> Rung:
    ctx.timers.daily(Ring(name=request.name), request.name, request.at, calendar=request.calendar)
    return Rung(id=request.name)


@Snooze.command("clock.snooze", http="POST /snoozes", scope="clock:ring", title=("Snooze", "再响"))
def snooze(ctx: Context, request: Snooze) -> Rung:
    ctx.cases.open("alarm", request.name, ("Rang", "响了"), due_us=ctx.now_us)
    if request.left:
        again = Snooze(name=request.name, left=request.left - 1)
        ctx.timers.at(datetime.fromtimestamp(ctx.now_us // 1_000_000, UTC) + timedelta(hours=1), again, request.name)
    return Rung(id=request.name)
