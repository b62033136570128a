"""Mounting the console: sessions, sign-in, language, routes of the declared pages, and the page for no page."""

import asyncio
import importlib
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from fastapi import FastAPI
from nicegui import Client, app, ui
from nicegui.storage import Storage
from starlette.requests import Request as HttpRequest
from starlette.responses import RedirectResponse, Response

from entrepot.console.desk import SIGN_IN, Desk, Feed, Title, local_path
from entrepot.console.frame import MARK, head, open_frame
from entrepot.console.openid import OpenIdDoor, problem_of
from entrepot.console.pages import Page, Tile, declared, tiles
from entrepot.console.widgets import escape, note, raw
from entrepot.kernel.operations import Actor, Refusal, Unauthorised
from entrepot.kernel.parties.operations import ListOrganisations, SignedIn, SignIn, SignOut

if TYPE_CHECKING:
    from entrepot.app import Entrepot

log = logging.getLogger(__name__)
KERNEL_PAGES = ("overview", "books", "eventlog", "cases", "inbox", "commands")
BUILD_LIMIT_S = 30.0


@dataclass(frozen=True, slots=True)
class DemoAccount:
    """An account that the sign-in page of a demo offers."""

    user_name: str
    password: str
    role: Title


def mount_console(web: FastAPI, application: "Entrepot", accounts: Sequence[DemoAccount] = ()) -> None:
    """Serve the console at "/" of `web`. `accounts` are offered on the sign-in page of a demo only."""
    shell = _Shell(application, accounts if application.settings.demo else ())
    Storage.path = (application.settings.data_dir / "console").resolve()
    application.sealer.listeners.append(shell.feed.sealed)
    app.on_startup(lambda: shell.feed.attach(asyncio.get_running_loop()))
    for found in shell.pages:
        _serve(shell, found)
    _serve_sign_in(shell)
    app.exception_handler(404)(shell.not_found)
    logging.getLogger("nicegui").addFilter(lambda record: "not found" not in record.getMessage())
    ui.run_with(
        web,
        mount_path="/",
        storage_secret=application.settings.secret("console").hex(),
        session_middleware_kwargs={"same_site": "lax", "session_cookie": "entrepot_console"},
        title="Entrepot",
        favicon=MARK,
        language=None,
        tailwind=False,
        show_welcome_message=False,
        reconnect_timeout=8.0,
    )


class _Shell:
    """What all pages share: the application, the feed, the declared pages and tiles."""

    def __init__(self, application: "Entrepot", accounts: Sequence[DemoAccount]) -> None:
        self.application = application
        self.accounts = accounts
        self.feed = Feed()
        modules = {f"entrepot.console.{name}" for name in KERNEL_PAGES}
        modules |= {system.pages for system in application.registry.systems.values() if system.pages}
        for module in sorted(modules):
            importlib.import_module(module)
        self.pages: list[Page] = declared(modules)
        self.tiles: list[Tile] = tiles(modules)
        openid = application.openid
        self.openid = OpenIdDoor(application, openid) if openid is not None and openid.client_id else None

    async def actor(self, token: str) -> Actor:
        """The actor of a session. Raises Unauthorised."""
        if not token:
            raise Unauthorised("sign-in/required", "Sign in first.")
        return await self.application.resolver.resolve(token)

    async def desk(self) -> Desk:
        """The desk of the browser that asks for a page. Raises Unauthorised."""
        user = app.storage.user
        token = str(user.get("token", ""))
        desk = Desk(
            self.application.executor,
            await self.actor(token),
            language(),
            self.feed,
            renew=lambda: self.actor(token),
            name=str(user.get("name", "")),
        )
        known = await desk.try_ask(ListOrganisations(limit=1000))
        if known is not None:
            desk.names = {o.id: desk.t((o.name, o.name_zh)) for o in known.organisations}
        return desk

    async def sign_in(self, user_name: str, password: str, address: str) -> SignedIn:
        """Open a session for the browser at `address`. Raises Refusal, too many tries from there included."""
        executor, limiter = self.application.executor, self.application.limiter
        actor = Actor.anonymous(self.application.settings.tenant)
        request = SignIn(user_name=user_name, password=password)
        if limiter is not None:
            operation = self.application.registry.of(SignIn)
            refused = limiter.check(actor, operation, address)
            if refused is not None:
                executor.refuse(operation, operation.request.model_construct(), actor, refused, "console")
                raise refused
        return await executor.execute(request, actor, key=secrets.token_hex(16), door="console")

    async def not_found(self, request: HttpRequest, error: Exception) -> Response:
        """The page for an address that leads nowhere."""
        with Client(ui.page(""), request=request) as client:
            head("zh" if request.cookies.get("entrepot_language") == "zh" else "en")
            with ui.element("div").classes("signin"), ui.element("div").classes("card"):
                raw("<h1 class='big'>404</h1><p>There is nothing at this address.<br>此地址没有内容。</p>")
                raw('<a class="btn" href="/">Entrepot</a>')
        return client.build_response(request, 404)


def language() -> str:
    """ "zh" or "en": as chosen, by default English."""
    return "zh" if app.storage.user.get("language") == "zh" else "en"


def _serve(shell: _Shell, found: Page) -> None:
    async def show(request: HttpRequest, id: str = "") -> Response | None:
        try:
            desk = await shell.desk()
        except Unauthorised:
            app.storage.user.pop("token", None)
            return RedirectResponse(f"{SIGN_IN}?next={quote(request.url.path)}", 303)
        await _draw(shell, found, desk, id)
        return None

    if "{id}" in found.path:
        ui.page(found.path, response_timeout=BUILD_LIMIT_S)(show)
    else:

        async def show_plain(request: HttpRequest) -> Response | None:
            return await show(request)

        ui.page(found.path, response_timeout=BUILD_LIMIT_S)(show_plain)


async def _draw(shell: _Shell, found: Page, desk: Desk, identifier: str) -> None:
    head(desk.language)
    ui.page_title(f"{desk.t(found.title)} · Entrepot")

    async def sign_out() -> None:
        await desk.do(SignOut())
        app.storage.user.pop("token", None)
        ui.navigate.to(SIGN_IN)

    def switch() -> None:
        _choose_language("en" if desk.language == "zh" else "zh")

    main = await open_frame(desk, shell.pages, found, sign_out=sign_out, switch=switch)
    with main:
        try:
            if not desk.may(found.scope):
                note(desk, ("You may not see this page.", "您没有查看此页面的权限。"), "bad")
            elif "{id}" in found.path:
                await found.build(desk, identifier)
            else:
                await found.build(desk)
                if found.path == "/":
                    for tile in shell.tiles:
                        if desk.may(tile.scope):
                            await tile.build(desk)
        except Refusal as refusal:
            note(desk, f"{desk.t(refusal.title)}: {refusal.detail}", "bad")


def _choose_language(chosen: str) -> None:
    app.storage.user["language"] = chosen
    ui.run_javascript(f"document.cookie='entrepot_language={chosen};path=/;samesite=lax';location.reload()")


def _serve_sign_in(shell: _Shell) -> None:
    @ui.page(SIGN_IN, response_timeout=BUILD_LIMIT_S)
    async def sign_in_page(next: str = "/", problem: str = "") -> None:
        chosen = language()
        head(chosen)
        _SignInForm(shell, chosen, local_path(next), problem_of(problem)).draw()

    if shell.openid is not None:
        shell.openid.serve()


class _SignInForm:
    """User name, password, and for whom when there is a choice."""

    def __init__(self, shell: _Shell, chosen: str, target: str, said: Title | None) -> None:
        self.shell, self.language, self.target, self.said = shell, chosen, target, said

    def t(self, title: Title) -> str:
        return title[1] if self.language == "zh" else title[0]

    def draw(self) -> None:
        ui.page_title(f"{self.t(('Sign in', '登录'))} · Entrepot")
        with ui.element("div").classes("signin"), ui.element("div").classes("card"):
            with ui.element("div").classes("row"):
                motto = self.t(("Goods, money and the loan on one ledger", "货物、资金与贷款，同一本账"))
                raw(f'<div class="brand dark">{MARK}<span>Entrepot<small>{motto}</small></span></div>').classes("grow")
                other = "en" if self.language == "zh" else "zh"
                ui.button("English" if other == "en" else "中文", on_click=lambda: _choose_language(other)).props(
                    "flat dense no-caps color=primary"
                )
            with ui.element("form").classes("stack").on("submit.prevent", self.send):
                self.user = ui.input(self.t(("User name", "用户名"))).props(
                    'outlined dense autofocus autocomplete="username" name="username"'
                )
                self.password = ui.input(self.t(("Password", "密码")), password=True).props(
                    'outlined dense autocomplete="current-password" name="password"'
                )
                self.problem = ui.element("div").props('role="alert"')
                self.button = ui.button(self.t(("Sign in", "登录"))).props(
                    "unelevated no-caps color=primary type=submit"
                )
            if self.said is not None:
                self._say(self.t(self.said))
            if self.shell.openid is not None:
                self._elsewhere(self.shell.openid)
            if self.shell.accounts:
                self._hints()

    def _elsewhere(self, openid: OpenIdDoor) -> None:
        raw(f'<div class="or">{self.t(("or", "或"))}</div>')
        words = self.t((f"Sign in with {openid.name}", f"使用 {openid.name} 登录"))
        raw(f'<a class="btn wide" data-mark="openid" href="{escape(openid.link(self.target))}">{escape(words)}</a>')

    def _hints(self) -> None:
        with ui.element("div").classes("hints"):
            raw(f'<div class="muted">{self.t(("Demo: sign in as", "示范区账号（均为虚构）"))}</div>')
            with ui.element("div").classes("hintlist"):
                for account in self.shell.accounts:
                    with ui.button(on_click=partial(self._fill, account)).props("flat dense no-caps align=left"):
                        raw(f"<b>{escape(account.user_name)}</b><small>{escape(self.t(account.role))}</small>")

    async def _fill(self, account: DemoAccount) -> None:
        self.user.value, self.password.value = account.user_name, account.password
        await self.send()

    async def send(self) -> None:
        user_name, password = str(self.user.value or "").strip(), str(self.password.value or "")
        self.problem.clear()
        if not user_name or not password:
            self._say(self.t(("Enter user name and password.", "请输入用户名和密码。")))
            return
        self.button.disable()
        try:
            session = await self.shell.sign_in(user_name[:64], password[:200], ui.context.client.ip)
        except Refusal as refusal:
            self._say(f"{self.t(refusal.title)}: {refusal.detail}")
            return
        finally:
            self.button.enable()
        app.storage.user.update(token=session.token, name=user_name)
        ui.navigate.to(self.target)

    def _say(self, text: str) -> None:
        with self.problem:
            ui.label(text).classes("note bad")
