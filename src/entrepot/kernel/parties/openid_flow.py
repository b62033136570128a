"""Signing in at an OpenID Connect issuer: the authorization code flow with PKCE, and everything that is checked.

OpenID Connect Core 1.0, section 3.1; RFC 7636 (PKCE, S256); RFC 9207 (the issuer in the response); RFC 9700 (what has
gone wrong elsewhere). Between the two steps the browser keeps one sealed cookie, so that any worker can finish what
another began and a visitor who never comes back leaves nothing behind.
"""

import asyncio
import base64
import hashlib
import json
import logging
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote, urlencode, urlsplit

import httpx
from cryptography.fernet import Fernet, InvalidToken

from entrepot.kernel.operations import Clock, Unauthorised
from entrepot.kernel.parties.oidc import OpenIdConnect

log = logging.getLogger(__name__)
PENDING_S = 600
EXCHANGE_S = 15.0
EXCHANGES_AT_ONCE = 16
LOOPBACK = ("127.0.0.1", "localhost", "::1")
Trouble = Literal["state", "expired", "issuer", "denied", "refused", "unreachable", "token"]


class SignInTrouble(Exception):
    """The sign-in at the issuer came to nothing.

    `trouble` says why: "state" (this browser began no such sign-in), "expired" (begun too long ago), "issuer" (the
    answer names another issuer), "denied" (by the person or the issuer), "refused" (the issuer sent an error),
    "unreachable" (no usable answer came), "token" (the ID token is not good). The message is for the log and holds no
    code, token or personal data.
    """

    def __init__(self, trouble: Trouble, why: str) -> None:
        super().__init__(f"{trouble}: {why}")
        self.trouble = trouble


@dataclass(frozen=True, slots=True)
class Provider:
    """What the flow needs of a discovery document (OpenID Connect Discovery 1.0, section 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    secret_in_body: bool
    names_itself: bool

    @staticmethod
    def of(document: Mapping[str, Any]) -> "Provider":
        """Read it. Raises ValueError for a document that no sign-in can be built on."""
        endpoints = [document.get(name) for name in ("authorization_endpoint", "token_endpoint")]
        for endpoint in endpoints:
            url = urlsplit(endpoint if isinstance(endpoint, str) else "")
            if url.scheme != "https" and not (url.scheme == "http" and url.hostname in LOOPBACK):
                raise ValueError("an endpoint is missing, or not https")
        methods = document.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        return Provider(
            issuer=str(document["issuer"]),
            authorization_endpoint=str(endpoints[0]),
            token_endpoint=str(endpoints[1]),
            secret_in_body="client_secret_basic" not in methods and "client_secret_post" in methods,
            names_itself=document.get("authorization_response_iss_parameter_supported") is True,
        )


@dataclass(frozen=True, slots=True)
class Begun:
    """Where the browser is sent, and the sealed cookie that it keeps meanwhile."""

    url: str
    sealed: str


@dataclass(frozen=True, slots=True)
class Identified:
    """Whom the issuer vouches for. `once` is the same for a state that is used again; `shown` may be empty."""

    issuer: str
    subject: str
    shown: str
    once: str


@dataclass(frozen=True, slots=True)
class Pending:
    """A sign-in that was begun in this browser."""

    state: str
    nonce: str
    verifier: str
    target: str
    until_s: int


class CodeFlow:
    """Begins and finishes sign-ins of one client at one issuer; without `client_secret` it is a public client."""

    def __init__(
        self, openid: OpenIdConnect, clock: Clock, redirect_uri: str, *, client_secret: str = "", key: bytes
    ) -> None:
        self._openid = openid
        self._clock = clock
        self._redirect_uri = redirect_uri
        self._client_secret = client_secret
        self._seal = Fernet(base64.urlsafe_b64encode(key))
        self._tls = httpx.create_ssl_context()
        self._exchanges = asyncio.Semaphore(EXCHANGES_AT_ONCE)

    async def begin(self, target: str) -> Begun:
        """Send the browser to the issuer; `target` is where it goes in the end. Raises SignInTrouble."""
        provider = await self._provider()
        pending = Pending(
            state=secrets.token_urlsafe(24),
            nonce=secrets.token_urlsafe(24),
            verifier=secrets.token_urlsafe(48),
            target=target,
            until_s=self._now_s() + PENDING_S,
        )
        asked = {
            "response_type": "code",
            "scope": "openid profile",
            "client_id": self._openid.client_id,
            "redirect_uri": self._redirect_uri,
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": challenge(pending.verifier),
            "code_challenge_method": "S256",
        }
        joint = "&" if "?" in provider.authorization_endpoint else "?"
        return Begun(f"{provider.authorization_endpoint}{joint}{urlencode(asked)}", self._sealed(pending))

    def pending(self, sealed: str, state: str) -> Pending:
        """The sign-in that this browser began with this state. Raises SignInTrouble."""
        try:
            content = json.loads(self._seal.decrypt(sealed.encode(errors="replace")))
            pending = Pending(**content)
        except (InvalidToken, ValueError, TypeError):
            raise SignInTrouble("state", "no sealed cookie of ours") from None
        if not secrets.compare_digest(pending.state.encode(), state.encode(errors="replace")):
            raise SignInTrouble("state", "another state")
        if self._now_s() >= pending.until_s:
            raise SignInTrouble("expired", "begun too long ago")
        return pending

    async def finish(self, pending: Pending, parameters: Mapping[str, str]) -> Identified:
        """Take the issuer's answer, exchange its code, and check the ID token. Raises SignInTrouble."""
        provider = await self._provider()
        named = parameters.get("iss")
        if named != provider.issuer and (named is not None or provider.names_itself):
            raise SignInTrouble("issuer", "the answer names another issuer, or none")
        error = parameters.get("error")
        if error is not None:
            raise SignInTrouble("denied" if error == "access_denied" else "refused", _plain(error))
        code = parameters.get("code", "")
        if not code:
            raise SignInTrouble("refused", "an answer without code")
        claims = await self._checked(await self._exchange(provider, code, pending.verifier))
        self._check_for_us(claims, pending.nonce)
        shown = claims.get("preferred_username") or claims.get("name") or ""
        return Identified(
            issuer=self._openid.issuer,
            subject=claims["sub"],
            shown=shown[:64] if isinstance(shown, str) else "",
            once=hashlib.sha256(pending.state.encode()).hexdigest(),
        )

    # --- the parts -----------------------------------------------------------------------------------------------

    async def _provider(self) -> Provider:
        if not self._openid.document:
            await self._openid.renewed()
        if not self._openid.document:
            raise SignInTrouble("unreachable", "no discovery document yet")
        try:
            return Provider.of(self._openid.document)
        except ValueError as error:
            raise SignInTrouble("unreachable", f"the discovery document: {error}") from None

    async def _exchange(self, provider: Provider, code: str, verifier: str) -> str:
        """The ID token for a code (Core, section 3.1.3)."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": verifier,
        }
        headers = {"accept": "application/json"}
        if self._client_secret and not provider.secret_in_body:
            # RFC 6749, section 2.3.1: both halves are form-encoded before they are joined.
            pair = f"{quote(self._openid.client_id, safe='')}:{quote(self._client_secret, safe='')}"
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form["client_id"] = self._openid.client_id
            if self._client_secret:
                form["client_secret"] = self._client_secret
        try:
            async with (
                asyncio.timeout(EXCHANGE_S),
                self._exchanges,
                httpx.AsyncClient(verify=self._tls, timeout=10, follow_redirects=False) as client,
            ):
                response = await client.post(provider.token_endpoint, data=form, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise SignInTrouble("unreachable", f"the token endpoint: {type(error).__name__}") from None
        try:
            content = response.json()
        except ValueError:
            content = None
        if response.status_code != 200:
            reason = content.get("error") if isinstance(content, dict) else None
            trouble: Trouble = "refused" if isinstance(reason, str) else "unreachable"
            raise SignInTrouble(trouble, f"the token endpoint: {response.status_code} {_plain(reason)}")
        token = content.get("id_token") if isinstance(content, dict) else None
        if not isinstance(token, str):
            raise SignInTrouble("unreachable", "the token endpoint sent no ID token")
        return token

    async def _checked(self, token: str) -> dict[str, Any]:
        """The claims of a good ID token; one signed with a key that is newer than ours makes us fetch the keys."""
        try:
            return self._openid.claims(token)
        except Unauthorised:
            await self._openid.renewed()
        try:
            return self._openid.claims(token)
        except Unauthorised as refusal:
            raise SignInTrouble("token", refusal.detail) from None

    def _check_for_us(self, claims: Mapping[str, Any], nonce: str) -> None:
        """What Core, section 3.1.3.7, asks beyond signature, issuer, audience and expiry."""
        found = claims.get("nonce")
        if not isinstance(found, str) or not secrets.compare_digest(found.encode(errors="replace"), nonce.encode()):
            raise SignInTrouble("token", "another nonce")
        audience, authorised = claims["aud"], claims.get("azp")
        several = isinstance(audience, list) and len(audience) > 1
        if (several or authorised is not None) and authorised != self._openid.client_id:
            raise SignInTrouble("token", "issued to another client")
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= 255 or subject != subject.strip():
            # A request's texts are stripped: "li" and "li " must never become one account.
            raise SignInTrouble("token", "no usable subject")

    def _sealed(self, pending: Pending) -> str:
        content = {name: getattr(pending, name) for name in Pending.__slots__}
        return self._seal.encrypt(json.dumps(content).encode()).decode()

    def _now_s(self) -> int:
        return self._clock.now_us() // 1_000_000


def challenge(verifier: str) -> str:
    """The S256 code challenge of a verifier (RFC 7636, section 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode("ascii")).digest()).rstrip(b"=").decode()


def _plain(error: object) -> str:
    """An error code of the issuer's as the log may show it: a stranger wrote it."""
    return error if isinstance(error, str) and re.fullmatch(r"[a-z_]{1,40}", error) else "an error"
