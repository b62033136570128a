"""Operations on API keys: create, list, revoke."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from entrepot.kernel.database.schema import from_us
from entrepot.kernel.operations import Answer, Context, Forbidden, Request, Secret
from entrepot.kernel.parties.operations import Done
from entrepot.kernel.parties.service import DAY_US
from entrepot.kernel.parties.tables import credentials


class KeyIssued(Answer):
    """A new key; `token` is shown this once (a repeated command answers without it)."""

    id: str
    token: Secret[str] = ""
    expires_at: datetime


class CreateKey(Request[KeyIssued]):
    """Create an API key for yourself with some of your own permissions."""

    scopes: list[str] = Field(min_length=1, max_length=100)
    days: int = Field(90, ge=1, le=366)


@CreateKey.command(
    "parties.create_key", http="POST /keys", scope="parties:self", title=("Create key", "创建密钥"), subject="id",
    example={"scopes": ["parties:read"], "days": 30},
)  # fmt: skip
def create_key(ctx: Context, request: CreateKey) -> KeyIssued:
    """Never more than the holder may do, and only in person: a stolen key must not outlive itself."""
    issued = ctx.uow.row(credentials, (ctx.tenant, ctx.actor.session))
    if issued is not None and issued[2] == "key":
        raise Forbidden("key/by-key", "A key creates no keys: sign in to create one.")
    missing = sorted(set(request.scopes) - ctx.actor.scopes)
    if missing:
        raise Forbidden("key/scopes", f"You do not hold {', '.join(missing)}.", missing=missing)
    expires_us = ctx.now_us + request.days * DAY_US
    identifier, token = ctx.parties.issue("key", ctx.actor.id, ctx.actor.party, tuple(request.scopes), expires_us)
    return KeyIssued(id=identifier, token=token, expires_at=from_us(expires_us))


class RevokeKey(Request[Done]):
    """End one of your keys or sessions at once."""

    credential_id: str = Field(max_length=64)


@RevokeKey.command(
    "parties.revoke_key",
    http="POST /keys/{credential_id}/revocation",
    scope="parties:self",
    title=("Revoke key", "撤销密钥"),
    subject="credential_id",
    example={"credential_id": "crd_0"},
)
def revoke_key(ctx: Context, request: RevokeKey) -> Done:
    """The holder's own; a security administrator may end anyone's."""
    holder = "" if "parties:grant" in ctx.actor.scopes else ctx.actor.id
    ctx.parties.revoke_credential(request.credential_id, holder=holder)
    return Done(id=request.credential_id)


class CredentialView(Answer):
    """A session or key of yours that works."""

    id: str
    kind: Literal["session", "key"]
    organisation: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime
    current: bool


class CredentialList(Answer):
    """Sessions and keys, newest first."""

    credentials: list[CredentialView]


class ListCredentials(Request[CredentialList]):
    """Your sessions and keys that still work."""


@ListCredentials.query("parties.keys", http="GET /keys", scope="parties:self", title=("My keys", "我的密钥"))
def list_credentials(ctx: Context, request: ListCredentials) -> CredentialList:
    """So that one that was lost can be revoked by its id."""
    found = ctx.parties.credentials(ctx.actor.id, ctx.now_us)
    return CredentialList(
        credentials=[
            CredentialView(
                id=credential.id,
                kind=credential.kind,  # type: ignore[arg-type]
                organisation=credential.organisation,
                scopes=list(credential.scopes),
                created_at=from_us(credential.created_us),
                expires_at=from_us(credential.expires_us),
                current=credential.id == ctx.actor.session,
            )
            for credential in found
        ]
    )
