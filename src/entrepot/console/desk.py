"""A desk: one person's open page. It asks and commands in the person's name, shows refusals, and refreshes live."""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from nicegui import background_tasks, context, ui

from entrepot.kernel.operations import Actor, Answer, Executor, Operation, Refusal, Request, Unauthorised

A = TypeVar("A", bound=Answer)
T = TypeVar("T")
Title = tuple[str, str]
REFRESH_PAUSE_S = 0.25
SIGN_IN = "/sign-in"


def local_path(wanted: str) -> str:
    """`wanted` when it is a path of this console, "/" when it may lead elsewhere or round in a circle.

    Browsers drop tabs and line ends inside an address and read a backslash as a slash, so none may be there.
    """
    leads_here = re.fullmatch(r"/(?!/)[^\\\x00-\x20\x7f]*", wanted) is not None
    return wanted if leads_here and not wanted.startswith(SIGN_IN) else "/"


class Feed:
    """Passes "something was sealed" from the sealer's thread to the open desks."""

    def __init__(self) -> None:
        self._desks: set[Desk] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Remember the event loop that the pages live on."""
        self._loop = loop

    def join(self, desk: "Desk") -> None:
        """A desk was opened; it leaves by itself when its client goes."""
        self._desks.add(desk)

    def leave(self, desk: "Desk") -> None:
        """A desk was closed."""
        self._desks.discard(desk)

    def sealed(self, ends: dict[str, int]) -> None:
        """Listener of the sealer: wake the desks of these tenants."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake, set(ends))

    def _wake(self, tenants: set[str]) -> None:
        for desk in list(self._desks):
            if desk.actor.tenant in tenants:
                desk.wake()


class Desk:
    """What a page is built with: the actor, the language, and the ways to ask, command and refresh.

    `renew` finds the actor of the session again before each question and command, so that a revoked session or role
    counts at once; `names` are the tenant's organisations in the desk's language.
    """

    def __init__(
        self,
        executor: Executor,
        actor: Actor,
        language: str,
        feed: Feed,
        *,
        renew: Callable[[], Awaitable[Actor]],
        name: str = "",
    ) -> None:
        self.executor = executor
        self.actor = actor
        self.language = language
        self.name = name or actor.id
        self.names: Mapping[str, str] = {}
        self._renew = renew
        self._feed = feed
        self._refreshers: list[Callable[[], Awaitable[None] | None]] = []
        self._pending = False
        self.client = context.client

    # --- who and what ------------------------------------------------------------------------------------------

    def t(self, title: Title | str) -> str:
        """The text in the desk's language."""
        if isinstance(title, str):
            return title
        return title[1] if self.language == "zh" else title[0]

    def may(self, scope: str) -> bool:
        """Whether the actor holds a permission: pages offer only what may be done."""
        return not scope or scope in self.actor.scopes

    def party(self, party_id: str) -> str:
        """The name of an organisation, its id where it is not known, a dash for none."""
        return self.names.get(party_id, party_id) or "—"

    def operation(self, name: str) -> Operation:
        """The operation of that name. Raises NotFound."""
        return self.executor.runtime.registry.get(name)

    @property
    def now_us(self) -> int:
        """The platform's time, microseconds since the epoch."""
        return self.executor.runtime.clock.now_us()

    # --- asking and commanding -----------------------------------------------------------------------------------

    async def ask(self, request: Request[A]) -> A:
        """Run a query. Raises Refusal; a session that has ended leads to the sign-in page."""
        return await self.executor.execute(request, await self._current(), door="console")

    async def try_ask(self, request: Request[A]) -> A | None:
        """Run a query; a refusal is None, for parts of a page that not everyone may see.

        What the actor lacks the permission for is not asked at all: a refusal leaves an event, and an event would wake
        the page that asked, for ever.
        """
        if not self.may(self.executor.runtime.registry.of(request).scope):
            return None
        try:
            return await self.ask(request)
        except Refusal:
            return None

    async def attempt(self, request: Request[A], key: str = "") -> A:
        """Run a command. Raises Refusal, for forms that show it in place."""
        key = key or secrets.token_hex(16)
        answer = await self.executor.execute(request, await self._current(), key=key, door="console")
        self.wake()
        return answer

    async def do(self, request: Request[A], done: Title | None = None) -> A | None:
        """Run a command, say that it was done, or say in red why not; None when it was refused."""
        try:
            answer = await self.attempt(request)
        except Refusal as refusal:
            self.refused(refusal)
            return None
        if done is not None:
            self.say(done)
        return answer

    async def _current(self) -> Actor:
        try:
            self.actor = await self._renew()
        except Unauthorised:
            with self.client:
                ui.navigate.to(SIGN_IN)
            raise
        return self.actor

    def say(self, text: Title) -> None:
        """Say that something was done."""
        with self.client:
            ui.notify(self.t(text), type="positive", position="bottom-right")

    def refused(self, refusal: Refusal) -> None:
        """Show a refusal."""
        with self.client:
            ui.notify(
                f"{self.t(refusal.title)}: {refusal.detail}",
                type="negative",
                position="bottom-right",
                multi_line=True,
                timeout=9000,
                close_button=self.t(("Close", "关闭")),
            )

    # --- living parts ------------------------------------------------------------------------------------------

    def live(self, refresh: Callable[[], Awaitable[None] | None]) -> None:
        """Call `refresh` soon after anything of the tenant was sealed, for as long as the page is open."""
        if not self._refreshers:
            self.client.on_connect(lambda: self._feed.join(self))
            self.client.on_disconnect(lambda: self._feed.leave(self))
            self.client.on_delete(lambda: self._feed.leave(self))
        self._refreshers.append(refresh)

    async def part(
        self, fetch: Callable[[], Awaitable[T]], draw: Callable[[T], None], *, every_s: float = 0.0
    ) -> Callable[[], Awaitable[None]]:
        """A part of the page that is drawn anew when what `fetch` finds has changed; the result refreshes it now.

        `every_s` looks by the clock too, for telemetry, which is not sealed event by event.
        """
        box = ui.element("div").classes("part")
        shown: list[T] = []

        async def refresh() -> None:
            try:
                found = await fetch()
            except Refusal as refusal:
                if shown:
                    return  # what was seen last stays until the page is left
                with box:
                    ui.label(f"{self.t(refusal.title)}: {refusal.detail}").classes("note bad")
                return
            if shown and shown[0] == found:
                return
            shown[:] = [found]
            box.clear()
            with box:
                draw(found)

        await refresh()
        self.live(refresh)
        if every_s:
            ui.timer(every_s, refresh, immediate=False)
        return refresh

    def wake(self) -> None:
        """Refresh the live parts; many events in a short time refresh once."""
        if not self._pending and self._refreshers:
            self._pending = True
            background_tasks.create(self._refresh(), name="desk refresh")

    async def _refresh(self) -> None:
        await asyncio.sleep(REFRESH_PAUSE_S)
        self._pending = False
        if not self.client.has_socket_connection:
            return
        for refresh in list(self._refreshers):
            with self.client:
                result: Any = refresh()
                if result is not None:
                    await result
