"""Tokens for whoever may read the data folder: `entrepot token --as ROLE`, without a password.

A token is `el_` + base64url(JSON {tenant, person, organisation, until}) + "." + base64url(HMAC-SHA256) under a secret
in the data folder. Reading that secret is being the operator, so nothing is stored for it.
"""

import base64
import hmac
import json

from entrepot.kernel.parties.resolve import Foreign
from entrepot.settings import Settings

PREFIX = "el_"
SECRET = "local-tokens"  # noqa: S105 - the name of the file


def issue(settings: Settings, person: str, organisation: str, until_us: int) -> str:
    """A token for a person acting for an organisation until a time."""
    claim = {"tenant": settings.tenant, "person": person, "organisation": organisation, "until": until_us}
    body = _encode(json.dumps(claim, separators=(",", ":")).encode())
    return f"{PREFIX}{body}.{_encode(_sign(settings.secret(SECRET), body))}"


def reader(settings: Settings) -> Foreign:
    """What the resolver asks: the claim of a token of this kind, or None."""
    secret = settings.secret(SECRET)

    def read(token: str) -> tuple[str, str, str, int] | None:
        if not token.startswith(PREFIX):
            return None
        body, _, signature = token.removeprefix(PREFIX).partition(".")
        if not hmac.compare_digest(_encode(_sign(secret, body)).encode(), signature.encode(errors="replace")):
            return None
        claim = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return claim["tenant"], claim["person"], claim["organisation"], claim["until"]

    return read


def _sign(secret: bytes, body: str) -> bytes:
    return hmac.digest(secret, body.encode(errors="replace"), "sha256")


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
