"""The frame around every page: navigation, title, notices, person and party; and the head of the document."""

from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby

from nicegui import ui

from entrepot.console.desk import Desk
from entrepot.console.pages import Page
from entrepot.console.theme import AMBER, CSS, GREEN, RED, TEAL
from entrepot.console.widgets import escape, raw
from entrepot.kernel.notices.operations import ListNotices

MARK = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="28" height="28" viewBox="0 0 32 32" aria-hidden="true">'
    '<rect width="32" height="32" rx="7" fill="#0f766e"/>'
    '<path d="M7 23V13l9-5 9 5v10h-5v-7h-8v7z" fill="#fff"/></svg>'
)
SCRIPT = """<script>
document.addEventListener('click', event => {
  const copy = event.target.closest('[data-copy]');
  if (copy) {
    navigator.clipboard?.writeText(copy.dataset.copy);
    copy.classList.add('copied');
    setTimeout(() => copy.classList.remove('copied'), 900);
  }
  const nav = document.querySelector('.nav');
  if (event.target.closest('.menu')) nav?.classList.toggle('open');
  else if (nav && !event.target.closest('.nav')) nav.classList.remove('open');
});
document.addEventListener('keydown', event => {
  if (event.key === 'Escape') document.querySelector('.nav')?.classList.remove('open');
});
</script>"""


def head(language: str) -> None:
    """The document's language, style and small script."""
    ui.colors(primary=TEAL, positive=GREEN, negative=RED, warning=AMBER)
    ui.add_head_html(f"<style>{CSS}</style>{SCRIPT}")
    ui.add_head_html(f"<script>document.documentElement.lang='{'zh-CN' if language == 'zh' else 'en'}'</script>")


async def open_frame(
    desk: Desk,
    pages: Sequence[Page],
    here: Page,
    *,
    sign_out: Callable[[], Awaitable[None]],
    switch: Callable[[], None],
) -> ui.element:
    """Draw the frame; the result is the element in which the page itself is built."""
    raw(f'<a class="skip" href="#page">{escape(desk.t(("Skip to the page", "跳到正文")))}</a>')
    with ui.element("div").classes("frame"):
        raw(_navigation(desk, pages, here)).classes("navcell")
        with ui.element("div").classes("side"):
            with ui.element("header").classes("top"):
                menu = escape(desk.t(("Menu", "菜单")))
                raw(f'<button class="menu" aria-label="{menu}"><i class="material-icons">menu</i></button>').classes(
                    "only-phone"
                )
                raw(f"<h1>{escape(desk.t(here.title))}</h1>").classes("grow")
                await _bell(desk)
                raw(f'<div class="who"><b>{escape(desk.party(desk.actor.party))}</b>{escape(desk.name)}</div>')
                ui.button("English" if desk.language == "zh" else "中文", on_click=switch).props(
                    "flat dense no-caps color=primary data-mark=language"
                )
                ui.button(icon="logout", on_click=sign_out).props(
                    f'flat dense round color=grey-8 data-mark=sign-out aria-label="{desk.t(("Sign out", "退出登录"))}"'
                ).tooltip(desk.t(("Sign out", "退出登录")))
            return ui.element("div").classes("main").props('id="page" tabindex="-1"')


async def _bell(desk: Desk) -> None:
    async def unread() -> int:
        inbox = await desk.try_ask(ListNotices(unread_only=True, limit=1))
        return inbox.unread if inbox else 0

    def draw(count: int) -> None:
        label = escape(desk.t((f"{count} unread notices", f"{count} 条未读通知")))
        badge = f"<b>{min(count, 99)}</b>" if count else ""
        raw(
            f'<a class="bell" href="/inbox" aria-label="{label}" title="{label}">'
            f'<i class="material-icons" aria-hidden="true">notifications</i>{badge}</a>'
        )

    await desk.part(unread, draw)


def _navigation(desk: Desk, pages: Sequence[Page], here: Page) -> str:
    shown = [page for page in pages if (page.group[0] or page.path == "/") and desk.may(page.scope)]
    section = "/" + here.path.strip("/").partition("/")[0]
    parts = [
        (
            f'<nav class="nav" aria-label="{escape(desk.t(("Main", "主导航")))}">'
            f'<div class="brand">{MARK}<span>Entrepot<small>'
            f"{escape(desk.t(('One ledger for a region', '一个区域，一本账')))}</small></span></div>"
        )
    ]
    for group, members in groupby(shown, key=lambda page: page.group):
        if group[0]:
            parts.append(f'<div class="group">{escape(desk.t(group))}</div>')
        for page in members:
            current = ' class="here" aria-current="page"' if page.path == section else ""
            parts.append(
                f'<a href="{page.path}"{current}><i class="material-icons" aria-hidden="true">{page.icon}</i>'
                f"<span>{escape(desk.t(page.title))}</span></a>"
            )
    return "".join(parts) + "</nav>"
