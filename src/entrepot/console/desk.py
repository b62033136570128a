"""A desk: one person's open page. It asks and commands in the person's name, shows refusals, and refreshes live."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from nicegui import background_tasks, context, ui

from entrepot.kernel.operations import Actor, Answer, Executor, Refusal, Request

A = TypeVar("A", bound=Answer)
Title = tuple[str, str]
REFRESH_PAUSE_S = 0.25


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
    """What a page is built with: the actor, the language, and the ways to ask, command and refresh."""

    def __init__(self, executor: Executor, actor: Actor, language: str, feed: Feed, name: str = "") -> None:
        self.executor = executor
        self.actor = actor
        self.language = language
        self.name = name or actor.id
        self._feed = feed
        self._refreshers: list[Callable[[], Awaitable[None] | None]] = []
        self._pending = False
        self._client = context.client

    def t(self, title: Title | str) -> str:
        """The text in the desk's language."""
        if isinstance(title, str):
            return title
        return title[1] if self.language == "zh" else title[0]

    def may(self, scope: str) -> bool:
        """Whether the actor holds a permission: pages offer only what may be done."""
        return not scope or scope in self.actor.scopes

    async def ask(self, request: Request[A]) -> A:
        """Run a query. Raises Refusal."""
        return await self.executor.execute(request, self.actor, door="console")

    async def try_ask(self, request: Request[A]) -> A | None:
        """Run a query; a refusal is None, for parts of a page that not everyone may see."""
        try:
            return await self.ask(request)
        except Refusal:
            return None

    async def do(self, request: Request[A], done: Title | None = None) -> A | None:
        """Run a command, say that it was done, or say in red why not; None when it was refused."""
        try:
            answer = await self.executor.execute(request, self.actor, key=secrets.token_hex(16), door="console")
        except Refusal as refusal:
            self.refused(refusal)
            return None
        if done is not None:
            with self._client:
                ui.notify(self.t(done), type="positive", position="bottom-right")
        self.wake()
        return cast(A, answer)

    def refused(self, refusal: Refusal) -> None:
        """Show a refusal."""
        with self._client:
            ui.notify(
                f"{self.t(refusal.title)}: {refusal.detail}",
                type="negative",
                position="bottom-right",
                multi_line=True,
                timeout=9000,
                close_button=self.t(("Close", "关闭")),
            )

    def live(self, refresh: Callable[[], Awaitable[None] | None]) -> None:
        """Call `refresh` soon after anything of the tenant was sealed, for as long as the page is open."""
        if not self._refreshers:
            self._feed.join(self)
            self._client.on_disconnect(lambda: self._feed.leave(self))
            self._client.on_connect(lambda: self._feed.join(self))
        self._refreshers.append(refresh)

    def wake(self) -> None:
        """Refresh the live parts; many events in a short time refresh once."""
        if not self._pending and self._refreshers:
            self._pending = True
            background_tasks.create(self._refresh(), name="desk refresh")

    async def _refresh(self) -> None:
        await asyncio.sleep(REFRESH_PAUSE_S)
        self._pending = False
        if not self._client.has_socket_connection:
            return
        for refresh in list(self._refreshers):
            with self._client:
                result: Any = refresh()
                if result is not None:
                    await result
