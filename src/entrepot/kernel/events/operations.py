"""Operations on the event log."""

from datetime import datetime
from typing import Any

from pydantic import Field

from entrepot.kernel.database.schema import from_us
from entrepot.kernel.events.service import Event
from entrepot.kernel.operations import Answer, Context, Request, related


class EventView(Answer):
    """An event; `position` is None until it is sealed into the chain."""

    position: int | None
    id: str
    type: str
    subject: str
    actor: str
    party: str
    at: datetime
    operation: str
    door: str
    status: int
    data: dict[str, Any]
    hash: str


class EventPage(Answer):
    """Events in the order asked for."""

    events: list[EventView]


class ReadEvents(Request[EventPage]):
    """Sealed events after a position, oldest first: for auditors, and for programs that follow along."""

    after: int = Field(0, ge=0, le=2**60)
    limit: int = Field(100, ge=1, le=1000)


@ReadEvents.query("events.read", http="GET /log", scope="events:read", title=("Event log", "事件日志"))
def read_events(ctx: Context, request: ReadEvents) -> EventPage:
    """In order of position."""
    return EventPage(events=[view(event) for event in ctx.events.read(request.after, request.limit)])


class LatestEvents(Request[EventPage]):
    """The newest sealed events, newest first."""

    limit: int = Field(50, ge=1, le=500)
    before: int = Field(2**60, ge=1, le=2**60)


@LatestEvents.query("events.latest", http="GET /latest", scope="events:read", title=("Latest events", "最新事件"))
def latest_events(ctx: Context, request: LatestEvents) -> EventPage:
    """For a screen."""
    return EventPage(events=[view(event) for event in ctx.events.latest(request.limit, before=request.before)])


class EventsAbout(Request[EventPage]):
    """All that happened to an object, oldest first; for whoever has a relation to it."""

    subject: str = Field(min_length=1, max_length=64)
    limit: int = Field(200, ge=1, le=1000)


@EventsAbout.query(
    "events.about",
    http="GET /about/{subject}",
    scope="parties:self",
    title=("Events about an object", "对象事件"),
    relation=related("subject", "owner", "custodian", "creditor", "insurer", "supervisor", "party"),
    example={"subject": "rcp_0"},
)
def events_about(ctx: Context, request: EventsAbout) -> EventPage:
    """Sealed or not."""
    return EventPage(events=[view(event) for event in ctx.events.about(request.subject, request.limit)])


def view(event: Event) -> EventView:
    """An event as it is shown."""
    return EventView(
        position=event.position,
        id=event.id,
        type=event.type,
        subject=event.subject,
        actor=event.actor,
        party=event.party,
        at=from_us(event.at_us),
        operation=event.operation,
        door=event.door,
        status=event.status,
        data=event.content(),
        hash=event.hash.hex(),
    )
