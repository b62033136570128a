"""Operations on timers, for the operator: what is pending, what was refused, firing it again."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from entrepot.kernel.database.schema import from_us
from entrepot.kernel.operations import Answer, Context, Request
from entrepot.kernel.timers.service import Timer


class TimerView(Answer):
    """A timer."""

    key: str
    operation: str
    state: str
    due_at: datetime
    schedule: str
    attempts: int
    problem: str
    set_by: str


class TimerList(Answer):
    """Timers, in order of due time."""

    timers: list[TimerView]


class ListTimers(Request[TimerList]):
    """Timers of the tenant."""

    state: Literal["pending", "fired", "cancelled", "failed"] = "pending"
    limit: int = Field(200, ge=1, le=1000)


@ListTimers.query("timers.list", http="GET /timers", scope="kernel:operate", title=("Timers", "定时任务"))
def list_timers(ctx: Context, request: ListTimers) -> TimerList:
    """The earliest first."""
    return TimerList(timers=[_view(timer) for timer in ctx.timers.list(request.state, request.limit)])


class RetryTimer(Request[TimerView]):
    """Fire a refused timer again, now."""

    key: str = Field(min_length=1, max_length=200)


@RetryTimer.command(
    "timers.retry",
    http="POST /retries",
    scope="kernel:operate",
    title=("Retry timer", "重试定时任务"),
    subject="key",
    example={"key": "case:cas_0"},
)
def retry_timer(ctx: Context, request: RetryTimer) -> TimerView:
    """Under a new idempotency key, for it is due at another instant."""
    return _view(ctx.timers.retry(request.key))


def _view(timer: Timer) -> TimerView:
    return TimerView(
        key=timer.key,
        operation=timer.operation,
        state=timer.state,
        due_at=from_us(timer.due_us),
        schedule=timer.schedule,
        attempts=timer.attempts,
        problem=timer.problem,
        set_by=timer.actor,
    )
