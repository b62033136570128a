"""Tokens of an OpenID Connect issuer, where the settings name one: checked here, mapped to a person of ours.

Keys are fetched by a thread, never by a request: a token signed with a key that is not known yet is refused with the
advice to try again, and starts a refresh.
"""

import logging
import threading
import time
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
LEEWAY_S = 30


class OpenIdConnect:
    """The tokens of one issuer (OpenID Connect Core 1.0, section 3.1.3.7; discovery by OpenID Connect Discovery 1.0).

    `resolver_hook` is what the resolver asks: the claim of a token that is of this issuer and good, None for a token of
    another kind; it raises Unauthorised for one that is of this issuer and not good.
    """

    def __init__(self, database: Database, clock: Clock, tenant: str, issuer: str, client_id: str) -> None:
        self._database = database
        self._clock = clock
        self._tenant = tenant
        self._issuer = issuer.rstrip("/")
        self._client_id = client_id
        self._keys: KeySet | None = None
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
            found = client.get(f"{self._issuer}/.well-known/openid-configuration").raise_for_status().json()
            if str(found.get("issuer", "")).rstrip("/") != self._issuer:
                raise ValueError(f"{self._issuer} describes another issuer")
            self._keys = KeySet.import_key_set(client.get(found["jwks_uri"]).raise_for_status().json())

    def resolver_hook(self, token: str) -> tuple[str, str, str, int] | None:
        """Tenant, person, organisation and expiry (microseconds) of a good token. Raises Unauthorised."""
        if token.count(".") != 2 or token.startswith(("es_", "ek_", "el_")):
            return None
        claims = self._claims(token)
        with self._database.reader() as uow:
            row = uow.row(subjects, (self._tenant, self._issuer, str(claims["sub"])))
        if row is None:
            raise Unauthorised("sign-in/unknown-subject", "Your account at the issuer is linked to nobody here yet.")
        return self._tenant, str(row[3]), str(row[4]), int(claims["exp"]) * 1_000_000

    def _claims(self, token: str) -> dict[str, Any]:
        if self._keys is None:
            self._wanted.set()
            raise Unauthorised("sign-in/no-keys", "The issuer's keys are not known yet; try again in a moment.")
        now_s = self._clock.now_us() // 1_000_000
        rules = jwt.JWTClaimsRegistry(
            now=now_s,
            leeway=LEEWAY_S,
            iss={"essential": True, "values": [self._issuer, f"{self._issuer}/"]},
            aud={"essential": True, "value": self._client_id},
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
        fetched = 0.0
        while not self._stop.is_set():
            self._wanted.wait(timeout=REFRESH_S)
            self._wanted.clear()
            if self._stop.is_set() or time.monotonic() - fetched < RETRY_S:
                continue  # a flood of bad tokens must not become a flood of requests
            try:
                self.refresh()
            except (httpx.HTTPError, ValueError, KeyError, JoseError) as error:
                log.warning("the keys of %s could not be fetched: %s", self._issuer, error)
            fetched = time.monotonic()
