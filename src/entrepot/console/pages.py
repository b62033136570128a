"""Declaring pages: a system's pages.py decorates builders, the shell finds them and draws the frame around them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

Builder = Callable[..., Awaitable[None]]
_declared: list["Page"] = []


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


def declared(modules: set[str]) -> list[Page]:
    """The pages of these modules, in the order of the navigation."""
    return sorted((p for p in _declared if p.module in modules), key=lambda p: (p.order, p.path))
