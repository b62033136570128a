"""Declaring pages: a system's pages.py decorates builders, the shell finds them and draws the frame around them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

Builder = Callable[..., Awaitable[None]]
_declared: list["Page"] = []
_tiles: list["Tile"] = []


@dataclass(frozen=True, slots=True)
class Page:
    """`path` may hold one `{id}`; pages with a group of "" are reached by links only."""

    path: str
    title: tuple[str, str]
    icon: str
    scope: str
    group: tuple[str, str]
    order: int
    build: Builder
    module: str


@dataclass(frozen=True, slots=True)
class Tile:
    """A system's part of the overview; offered where the actor holds the scope."""

    scope: str
    order: int
    build: Builder
    module: str


def page(
    path: str,
    title: tuple[str, str],
    *,
    icon: str = "article",
    scope: str = "",
    group: tuple[str, str] = ("", ""),
    order: int = 50,
) -> Callable[[Builder], Builder]:
    """Declare `async def builder(desk)`, or `builder(desk, id)` for a path with `{id}`, as a page of the console."""

    def declare(build: Builder) -> Builder:
        _declared.append(Page(path, title, icon, scope, group, order, build, build.__module__))
        return build

    return declare


def tile(*, scope: str = "", order: int = 50) -> Callable[[Builder], Builder]:
    """Declare `async def builder(desk)` as a part of the overview: what a party must see of the system now."""

    def declare(build: Builder) -> Builder:
        _tiles.append(Tile(scope, order, build, build.__module__))
        return build

    return declare


def declared(modules: set[str]) -> list[Page]:
    """The pages of these modules, in the order of the navigation."""
    return sorted((p for p in _declared if p.module in modules), key=_place)


def tiles(modules: set[str]) -> list[Tile]:
    """The tiles of these modules, in the order of the overview."""
    return sorted((t for t in _tiles if t.module in modules), key=lambda t: (t.order, t.module))


def _place(found: Page) -> tuple[Any, ...]:
    return found.order, found.path
