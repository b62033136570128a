"""A system of the crash test only: a bell that a timer rings. That it rang is an event, which must be there once."""

from datetime import timedelta

from pydantic import Field

from entrepot.kernel.operations import Answer, Context, Request, System


class Bell(Answer):
    """A bell that is set, or rang."""

    id: str


class Ring(Request[Bell]):
    """Ring a bell; run by its timer."""

    bell: str = Field(min_length=1, max_length=64)


class SetBell(Request[Bell]):
    """Have a bell ring soon."""

    bell: str = Field(min_length=1, max_length=64)
    after_ms: int = Field(ge=0, le=10_000)


@Ring.command("bells.ring", http="POST /rings", scope="bells:ring", title=("Ring", "鸣铃"), subject="bell",
              example={"bell": "b1"})  # fmt: skip
def ring(ctx: Context, request: Ring) -> Bell:
    """The event is the effect."""
    return Bell(id=request.bell)


@SetBell.command("bells.set", http="POST /bells", scope="bells:set", title=("Set bell", "设铃"), subject="bell",
                 example={"bell": "b1", "after_ms": 10})  # fmt: skip
def set_bell(ctx: Context, request: SetBell) -> Bell:
    """The timer is part of the command: there is both or neither."""
    when = ctx.now + timedelta(milliseconds=request.after_ms)
    ctx.timers.at(when, Ring(bell=request.bell), key=f"bell:{request.bell}")
    return Bell(id=request.bell)


manifest = System(
    name="bells",
    title=("Bells", "铃"),
    summary="For the crash test",
    operations=("tests.crash.bells",),
    roles={"trader": ("bells:set",)},
)
