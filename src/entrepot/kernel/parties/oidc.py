"""Tokens of an OpenID Connect issuer, where the settings name one: checked here, mapped to a person of ours.

Keys are fetched by a thread, never by a request: a token signed with a key that is not known yet is refused with the
advice to try again, and starts a refresh.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from entrepot.kernel.database import Database
from entrepot.kernel.operations import Clock, Unauthorised
from entrepot.kernel.parties.tables import subjects

log = logging.getLogger(__name__)
ALGORITHMS = ["RS256", "ES256", "PS256", "EdDSA"]
REFRESH_S = 3_600.0
RETRY_S = 5.0
RENEWAL_S = 8.0
LEEWAY_S = 30


class OpenIdConnect:
    """The tokens of one issuer (OpenID Connect Core 1.0, section 3.1.3.7; discovery by OpenID Connect Discovery 1.0).

    `resolver_hook` is what the resolver asks: the claim of a token that is of this issuer and good, None for a token of
    another kind; it raises Unauthorised for one that is of this issuer and not good. `document` is the discovery
    document, empty until it was fetched.
    """

    def __init__(self, database: Database, clock: Clock, tenant: str, issuer: str, client_id: str) -> None:
        self._database = database
        self._clock = clock
        self._tenant = tenant
        self.issuer = issuer.rstrip("/")
        self.client_id = client_id
        self._keys: KeySet | None = None
        self._fetched = -RETRY_S
        self._waiting: deque[Future[None]] = deque()
        self.document: dict[str, Any] = {}
        self._wanted = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="openid-keys", daemon=True)

    def start(self) -> None:
        """Fetch the issuer's keys now and again."""
        self._wanted.set()
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def refresh(self) -> None:
        """Fetch discovery document and keys. Raises httpx.HTTPError, ValueError for another issuer's document."""
        with httpx.Client(timeout=10, follow_redirects=False) as client:
            found = client.get(f"{self.issuer}/.well-known/openid-configuration").raise_for_status().json()
            if not isinstance(found, dict) or str(found.get("issuer", "")).rstrip("/") != self.issuer:
                raise ValueError(f"{self.issuer} describes another issuer")
            self._keys = KeySet.import_key_set(client.get(found["jwks_uri"]).raise_for_status().json())
            self.document = found

    async def renewed(self) -> None:
        """Wait until the thread has tried to fetch both again; at once where it tried within the last seconds."""
        if time.monotonic() - self._fetched < RETRY_S or not self._thread.is_alive():
            return
        tried: Future[None] = Future()
        self._waiting.append(tried)
        self._wanted.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(tried), RENEWAL_S)

    def resolver_hook(self, token: str) -> tuple[str, str, str, int] | None:
        """Tenant, person, organisation and expiry (microseconds) of a good token. Raises Unauthorised."""
        if token.count(".") != 2 or token.startswith(("es_", "ek_", "el_")):
            return None
        claims = self.claims(token)
        with self._database.reader() as uow:
            row = uow.row(subjects, (self._tenant, self.issuer, str(claims["sub"])))
        if row is None:
            raise Unauthorised("sign-in/unknown-subject", "Your account at the issuer is linked to nobody here yet.")
        return self._tenant, str(row[3]), str(row[4]), int(claims["exp"]) * 1_000_000

    def claims(self, token: str) -> dict[str, Any]:
        """The claims of a token that the issuer signed for us and that holds now. Raises Unauthorised."""
        if self._keys is None:
            self._wanted.set()
            raise Unauthorised("sign-in/no-keys", "The issuer's keys are not known yet; try again in a moment.")
        now_s = self._clock.now_us() // 1_000_000
        rules = jwt.JWTClaimsRegistry(
            now=now_s,
            leeway=LEEWAY_S,
            iss={"essential": True, "values": [self.issuer, f"{self.issuer}/"]},
            aud={"essential": True, "value": self.client_id},
            sub={"essential": True},
            exp={"essential": True},
        )
        try:
            decoded = jwt.decode(token, self._keys, algorithms=ALGORITHMS)
            rules.validate(decoded.claims)
        except (JoseError, ValueError) as error:
            self._wanted.set()  # it may be signed with a key that is newer than ours
            raise Unauthorised("sign-in/token", f"The issuer's token is not good: {type(error).__name__}.") from None
        return dict(decoded.claims)

    def _work(self) -> None:
        while not self._stop.is_set():
            self._wanted.wait(timeout=REFRESH_S)
            self._wanted.clear()
            waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
            # A flood of bad tokens must not become a flood of requests.
            if not self._stop.is_set() and time.monotonic() - self._fetched >= RETRY_S:
                try:
                    self.refresh()
                except (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError, TypeError, JoseError) as error:
                    log.warning("the keys of %s could not be fetched: %s", self.issuer, error)
                self._fetched = time.monotonic()
            for tried in waiting:
                with suppress(InvalidStateError):  # whoever waited has given up
                    tried.set_result(None)
