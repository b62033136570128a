"""Signing in to the console at an OpenID Connect issuer: the button, the two addresses, and what is said on failure."""

import logging
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from nicegui import app
from starlette.requests import Request as HttpRequest
from starlette.responses import RedirectResponse, Response

from entrepot.console.desk import SIGN_IN, Title, local_path
from entrepot.kernel.operations import Actor, Refusal
from entrepot.kernel.parties.oidc import OpenIdConnect
from entrepot.kernel.parties.openid_flow import PENDING_S, CodeFlow, Identified, SignInTrouble
from entrepot.kernel.parties.openid_operations import VOUCH, SignInOpenId

if TYPE_CHECKING:
    from entrepot.app import Entrepot

log = logging.getLogger(__name__)
START, CALLBACK = f"{SIGN_IN}/openid", f"{SIGN_IN}/openid/callback"
COOKIE = "entrepot_openid"
UNKNOWN = "unknown-subject"
# What the sign-in page says; an address may name only one of these, never a text of its own.
PROBLEMS: dict[str, Title] = {
    "state": (
        "This sign-in was not begun in this browser, or another one was begun after it. Please sign in again.",
        "此登录不是在本浏览器中发起的，或之后又发起了新的登录，请重新登录。",
    ),
    "expired": (
        "The sign-in took longer than ten minutes. Please sign in again.",
        "登录用时超过十分钟，请重新登录。",
    ),
    "issuer": (
        "The answer came from another issuer than the one asked. Nobody was signed in.",
        "返回的身份提供方与请求的不一致，未登录。",
    ),
    "denied": (
        "The sign-in was cancelled or denied at the issuer.",
        "登录在身份提供方处被取消或拒绝。",
    ),
    "refused": (
        "The issuer refused this sign-in. Please sign in again; if it stays so, tell your administrator.",
        "身份提供方拒绝了此次登录，请重新登录；如仍不成功，请联系管理员。",
    ),
    "unreachable": (
        "The issuer cannot be reached at the moment. Please try again soon, or use a local account.",
        "暂时无法连接身份提供方，请稍后再试，或使用本地账号登录。",
    ),
    "token": (
        "What the issuer sent could not be verified. Nobody was signed in.",
        "身份提供方返回的内容未通过验证，未登录。",
    ),
    UNKNOWN: (
        "Your account at the issuer is linked to nobody here yet. Ask your security administrator to link it.",
        "您在身份提供方的账号尚未关联到本系统的人员，请联系安全管理员关联。",
    ),
    "no-role": (
        "Your account is linked, but you act for its organisation no longer. Ask your administrator.",
        "您的账号已关联，但您目前不代表相应机构，请联系管理员。",
    ),
    "used": (
        "This sign-in was used already. Please sign in again.",
        "此次登录已被使用，请重新登录。",
    ),
    "failed": (
        "The sign-in did not succeed; nothing was changed. Please try again in a moment.",
        "登录未成功，未作任何更改，请稍后再试。",
    ),
}
_BY_CODE = {"sign-in/unknown-subject": UNKNOWN, "sign-in/no-role": "no-role", "idempotency/other-content": "used"}


class OpenIdDoor:
    """The console's sign-in through the issuer of the settings."""

    def __init__(self, application: "Entrepot", openid: OpenIdConnect) -> None:
        settings = application.settings
        self._application = application
        self._base = settings.base_url.rstrip("/")
        self._flow = CodeFlow(
            openid,
            application.clock,
            f"{self._base}{CALLBACK}",
            client_secret=settings.oidc_client_secret,
            key=settings.secret("openid-state"),
        )
        self.name = settings.oidc_name or urlsplit(openid.issuer).hostname or openid.issuer

    def link(self, target: str) -> str:
        """Where the button leads: always at the public address, which is where the issuer sends the browser back."""
        return f"{self._base}{START}?{urlencode({'next': target})}"

    def serve(self) -> None:
        """Open the two addresses."""
        for path, handler in ((START, self._start), (CALLBACK, self._callback)):
            app.remove_route(path)
            app.add_route(path, handler, methods=["GET"])

    async def _start(self, request: HttpRequest) -> Response:
        target = local_path(request.query_params.get("next", ""))
        try:
            begun = await self._flow.begin(target)
        except SignInTrouble as trouble:
            return _failed(trouble, target)
        response = _redirect(begun.url)
        response.set_cookie(
            COOKIE, begun.sealed, max_age=PENDING_S, path=START, httponly=True, samesite="lax",
            secure=self._base.startswith("https:"),
        )  # fmt: skip
        return response

    async def _callback(self, request: HttpRequest) -> Response:
        parameters = dict(request.query_params)
        try:
            pending = self._flow.pending(request.cookies.get(COOKIE, ""), parameters.get("state", ""))
        except SignInTrouble as trouble:
            return _failed(trouble, "/")  # the cookie stays: somebody else's link must not end a sign-in under way
        try:
            found = await self._flow.finish(pending, parameters)
            response = await self._open(found, pending.target)
        except SignInTrouble as trouble:
            response = _failed(trouble, pending.target)
        response.delete_cookie(COOKIE, path=START)
        return response

    async def _open(self, found: Identified, target: str) -> Response:
        tenant = self._application.settings.tenant
        try:
            # The key makes a state good for one session, whichever worker sees it again.
            session = await self._application.executor.execute(
                SignInOpenId(issuer=found.issuer, subject=found.subject),
                Actor.system(tenant, "console", frozenset({VOUCH})),
                key=f"openid-{found.once}",
                door="console",
            )
        except Refusal as refusal:
            problem = _BY_CODE.get(refusal.code, "failed")
            if problem == UNKNOWN:
                app.storage.user["unknown_subject"] = found.subject
            return _notice(problem, target)
        if not session.token:
            return _notice("used", target)
        app.storage.user.pop("unknown_subject", None)
        app.storage.user.update(token=session.token, name=found.shown)
        return _redirect(target)


def problem_of(code: str) -> Title | None:
    """What the sign-in page says for the code in its address."""
    found = PROBLEMS.get(code)
    subject = app.storage.user.get("unknown_subject") if code == UNKNOWN else None
    if found is None or not subject:
        return found
    return f"{found[0]} It is known there as: {subject}", f"{found[1]}其标识为：{subject}"


def _failed(trouble: SignInTrouble, target: str) -> Response:
    log.warning("a sign-in through the issuer failed: %s", trouble)
    return _notice(trouble.trouble, target)


def _notice(problem: str, target: str) -> Response:
    return _redirect(f"{SIGN_IN}?{urlencode({'problem': problem, 'next': target})}")


def _redirect(url: str) -> Response:
    return RedirectResponse(url, 303, {"cache-control": "no-store"})
