"""Operations on parties: registration, verification, roles, keys, sign-in."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from entrepot.kernel.database import UnitOfWork
from entrepot.kernel.database.schema import from_us, to_us
from entrepot.kernel.operations import (
    Actor,
    Answer,
    Conflict,
    Context,
    Forbidden,
    Invalid,
    Personal,
    Request,
    Secret,
    TooMany,
    Unauthorised,
    own_party,
    requester_of,
)
from entrepot.kernel.parties.checks import identity_number
from entrepot.kernel.parties.service import (
    DAY_US,
    FOREVER,
    SESSION_US,
    Organisation,
    check_password,
    hash_password,
)
from entrepot.kernel.parties.tables import accounts

LOCK_AFTER, LOCK_US = 5, 15 * 60 * 1_000_000
OrganisationKind = Literal["trader", "bank", "custodian", "carrier", "regulator", "operator", "other"]


class Done(Answer):
    """That it was done."""

    id: str


class OrganisationView(Answer):
    """An organisation as others in the tenant see it."""

    id: str
    credit_code: str
    name: str
    name_zh: str
    kind: str
    state: Literal["unverified", "verified", "rejected"]
    created_at: datetime


class OrganisationList(Answer):
    """Organisations, by id."""

    organisations: list[OrganisationView]


class RegisterOrganisation(Request[Done]):
    """Register an organisation by its unified social credit code; it acts once it is verified."""

    credit_code: str = Field(min_length=18, max_length=18, description="Unified social credit code (GB 32100)")
    name: str = Field(min_length=1, max_length=200)
    name_zh: str = Field(min_length=1, max_length=200)
    kind: OrganisationKind
    legal_representative: str = Field("", max_length=64, description="Person id of the legal representative")
    beneficial_owners: list[str] = Field(default=[], max_length=20, description="Person ids")


@RegisterOrganisation.command(
    "parties.register_organisation",
    http="POST /organisations",
    scope="parties:register",
    title=("Register organisation", "登记机构"),
    example={
        "credit_code": "91620100MA71XYNE12",
        "name": "Yellow River Metals",
        "name_zh": "黄河金属",
        "kind": "trader",
    },
)
def register_organisation(ctx: Context, request: RegisterOrganisation) -> Done:
    """Record it unverified, with the registrant as requester."""
    identifier = ctx.parties.register_organisation(
        request.credit_code,
        request.name,
        request.name_zh,
        request.kind,
        request.legal_representative,
        tuple(request.beneficial_owners),
    )
    ctx.relations.add(identifier, "requester", ctx.actor.id)
    return Done(id=identifier)


class VerifyOrganisation(Request[Done]):
    """Verify or reject an organisation on the evidence of a document."""

    organisation_id: str = Field(max_length=64)
    decision: Literal["verified", "rejected"]
    evidence: str = Field(min_length=1, max_length=200, description="Digest of the licence, or where it was checked")


@VerifyOrganisation.command(
    "parties.verify_organisation",
    http="POST /organisations/{organisation_id}/verification",
    scope="parties:verify",
    title=("Verify organisation", "核验机构"),
    not_by=requester_of("organisation_id"),
    subject="organisation_id",
    example={"organisation_id": "org_0", "decision": "verified", "evidence": "licence seen 2026-01-05"},
)
def verify_organisation(ctx: Context, request: VerifyOrganisation) -> Done:
    """Decide; another person than the registrant must."""
    ctx.parties.decide_organisation(request.organisation_id, request.decision, request.evidence)
    return Done(id=request.organisation_id)


class ListOrganisations(Request[OrganisationList]):
    """Organisations of the tenant."""

    kind: OrganisationKind | None = None
    limit: int = Field(500, ge=1, le=1000)


@ListOrganisations.query(
    "parties.organisations", http="GET /organisations", scope="parties:read", title=("Organisations", "机构")
)
def list_organisations(ctx: Context, request: ListOrganisations) -> OrganisationList:
    """All of a kind."""
    found = ctx.parties.organisations(request.kind or "", request.limit)
    return OrganisationList(organisations=[_view(organisation) for organisation in found])


class RegisterPerson(Request[Done]):
    """Register a person and open a local account; name and identity number go to the vault."""

    name: Personal[str] = Field(min_length=1, max_length=100)
    identity_number: Personal[str] = Field("", max_length=18, description="Resident identity number (GB 11643)")
    user_name: str = Field(min_length=3, max_length=64, pattern=r"^[a-z][a-z0-9._-]+$")
    password: Secret[str] = Field(min_length=10, max_length=200)


def _hash(uow: UnitOfWork, tenant: str, request: Any) -> str:
    return hash_password(request.password)


@RegisterPerson.command(
    "parties.register_person",
    http="POST /people",
    scope="parties:register",
    title=("Register person", "登记人员"),
    prepare=_hash,
    example={"name": "Li Na", "user_name": "li.na", "password": "correct horse battery"},
)
def register_person(ctx: Context, request: RegisterPerson) -> Done:
    """Vault first, then the person and the account."""
    identifier = ctx.new_id("per")
    identity = identity_number(request.identity_number) if request.identity_number else ""
    name_commitment = ctx.vault.store(identifier, "name", request.name, "contract")
    identity_commitment = ctx.vault.store(identifier, "identity_number", identity, "contract") if identity else ""
    ctx.parties.register_person(name_commitment, identity_commitment, person_id=identifier)
    ctx.parties.open_account(request.user_name, identifier, ctx.prepared)
    return Done(id=identifier)


class GrantRole(Request[Done]):
    """Let a person act for an organisation in a role, for a term."""

    person_id: str = Field(max_length=64)
    organisation_id: str = Field(max_length=64)
    role: str = Field(min_length=1, max_length=64)
    valid_from: datetime | None = Field(None, description="Now by default")
    valid_until: datetime | None = Field(None, description="A year from the beginning by default")


@GrantRole.command(
    "parties.grant_role",
    http="POST /roles",
    scope="parties:grant",
    title=("Grant role", "授予角色"),
    subject="person_id",
    example={"person_id": "per_0", "organisation_id": "org_0", "role": "trader"},
)
def grant_role(ctx: Context, request: GrantRole) -> Done:
    """Nobody grants to themselves."""
    if request.role not in ctx.registry.roles:
        raise Invalid("role/unknown", f"There is no role {request.role!r}.", roles=sorted(ctx.registry.roles))
    if request.person_id == ctx.actor.id:
        raise Forbidden("permission/own-approval", "Nobody grants a role to themselves.")
    start = _us(request.valid_from, ctx.now_us)
    ctx.parties.grant(
        request.person_id,
        request.organisation_id,
        request.role,
        start,
        _us(request.valid_until, start + 365 * DAY_US),
    )
    return Done(id=request.person_id)


class AppointAgent(Request[Done]):
    """Appoint a person as agent of your own organisation in a role, for a term (授权代理人)."""

    organisation_id: str = Field(max_length=64)
    person_id: str = Field(max_length=64)
    role: str = Field(min_length=1, max_length=64)
    valid_until: datetime


@AppointAgent.command(
    "parties.appoint_agent",
    http="POST /organisations/{organisation_id}/agents",
    scope="parties:appoint",
    title=("Appoint agent", "授权代理人"),
    relation=own_party("organisation_id"),
    subject="person_id",
    example={
        "organisation_id": "org_0",
        "person_id": "per_0",
        "role": "trader",
        "valid_until": "2030-01-01T00:00:00Z",
    },
)
def appoint_agent(ctx: Context, request: AppointAgent) -> Done:
    """Only a role that the appointing person holds, and no administrator's."""
    if request.role not in ctx.actor.roles:
        raise Forbidden("role/not-held", f"You can pass on only roles that you hold, not {request.role!r}.")
    if request.person_id == ctx.actor.id:
        raise Forbidden("permission/own-approval", "Nobody appoints themselves.")
    ctx.parties.grant(
        request.person_id, request.organisation_id, request.role, ctx.now_us, _us(request.valid_until, FOREVER)
    )
    return Done(id=request.person_id)


class RevokeRole(Request[Done]):
    """End a person's role for an organisation at once."""

    person_id: str = Field(max_length=64)
    organisation_id: str = Field(max_length=64)
    role: str = Field(min_length=1, max_length=64)


@RevokeRole.command(
    "parties.revoke_role",
    http="POST /roles/revocation",
    scope="parties:grant",
    title=("Revoke role", "撤销角色"),
    confirm=True,
    subject="person_id",
    example={"person_id": "per_0", "organisation_id": "org_0", "role": "trader"},
)
def revoke_role(ctx: Context, request: RevokeRole) -> Done:
    """Works before this command is answered."""
    ctx.parties.revoke(request.person_id, request.organisation_id, request.role)
    return Done(id=request.person_id)


class LinkSubject(Request[Done]):
    """Link an account at the OpenID Connect issuer to a person, who then signs in there."""

    issuer: str = Field(min_length=8, max_length=200, description="The issuer's URL")
    subject: str = Field(min_length=1, max_length=255, description="The claim `sub`")
    person_id: str = Field(max_length=64)
    organisation_id: str = Field(max_length=64, description="The organisation that the person acts for")


@LinkSubject.command(
    "parties.link_subject",
    http="POST /subjects",
    scope="parties:grant",
    title=("Link sign-in account", "关联登录账户"),
    subject="person_id",
    example={"issuer": "https://id.example", "subject": "248289", "person_id": "per_0", "organisation_id": "org_0"},
)
def link_subject(ctx: Context, request: LinkSubject) -> Done:
    """Nobody links an account to themselves."""
    if request.person_id == ctx.actor.id:
        raise Forbidden("permission/own-approval", "Nobody links an account to themselves.")
    ctx.parties.link_subject(request.issuer, request.subject, request.person_id, request.organisation_id)
    return Done(id=request.person_id)


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
    """Never more than the holder may do."""
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


class SignedIn(Answer):
    """A session; `token` goes into the header `Authorization: Bearer`."""

    id: str
    token: Secret[str] = ""
    person: str
    organisation: str
    organisations: list[str]
    expires_at: datetime


class SignIn(Request[SignedIn]):
    """Sign in with a local account, for one of the organisations you act for."""

    user_name: str = Field(min_length=1, max_length=64)
    password: Secret[str] = Field(min_length=1, max_length=200)
    organisation: str = Field("", max_length=64, description="The first one by default")


def _verify(uow: UnitOfWork, tenant: str, request: Any) -> str:
    return check_password(uow, tenant, request.user_name, request.password)


@SignIn.command(
    "parties.sign_in", http="POST /sessions", scope="", title=("Sign in", "登录"), rate=120, prepare=_verify,
    subject="user_name", example={"user_name": "li.na", "password": "correct horse battery"},
)  # fmt: skip
def sign_in(ctx: Context, request: SignIn) -> SignedIn:
    """Five wrong passwords in a quarter of an hour close the account for as long; the log itself is the counter."""
    _refuse_when_locked(ctx, request.user_name)
    account = ctx.uow.row(accounts, (ctx.tenant, request.user_name))
    if account is None or not ctx.prepared or account[3] != ctx.prepared:
        raise Unauthorised("sign-in/wrong", "User name or password is wrong.")
    person = str(account[2])
    current = [a for a in ctx.parties.assignments(person) if a.valid_from_us <= ctx.now_us < a.valid_until_us]
    organisations = sorted({assignment.organisation for assignment in current})
    if not organisations:
        raise Forbidden("sign-in/no-role", "Your account is open, but you act for no organisation yet.")
    chosen = request.organisation or organisations[0]
    if chosen not in organisations:
        raise Forbidden("sign-in/not-for", f"You do not act for {chosen}.", organisations=organisations)
    expires_us = ctx.now_us + SESSION_US
    identifier, token = ctx.parties.issue("session", person, chosen, (), expires_us)
    return SignedIn(
        id=identifier,
        token=token,
        person=person,
        organisation=chosen,
        organisations=organisations,
        expires_at=from_us(expires_us),
    )


def _refuse_when_locked(ctx: Context, user_name: str) -> None:
    rows = ctx.uow.fetch(
        "SELECT status, at FROM events WHERE tenant = %s AND subject = %s AND type = 'parties.sign_in' AND at > %s "
        "ORDER BY id DESC LIMIT 20",
        (ctx.tenant, user_name, ctx.now_us - LOCK_US),
    )
    failures = 0
    for status, _ in rows:
        if status == 200:
            break
        failures += status == 401
    if failures >= LOCK_AFTER:
        raise TooMany(
            "sign-in/locked", "Too many wrong passwords; wait a quarter of an hour.", retry_after_s=LOCK_US // 1_000_000
        )


class SignOut(Request[Done]):
    """End the session that this request is sent with."""


@SignOut.command(
    "parties.sign_out", http="POST /sessions/end", scope="parties:self", title=("Sign out", "退出登录"), subject="id"
)
def sign_out(ctx: Context, request: SignOut) -> Done:
    """Only stored sessions and keys can be ended here."""
    if not ctx.actor.session.startswith("crd_"):
        raise Conflict("sign-in/foreign-session", "This session was opened elsewhere; end it there.")
    ctx.parties.revoke_credential(ctx.actor.session)
    return Done(id=ctx.actor.session)


class Me(Answer):
    """Who you are here."""

    tenant: str
    person: str
    organisation: str
    kind: str
    roles: list[str]
    scopes: list[str]


class WhoAmI(Request[Me]):
    """Who the server takes you for, and what you may do."""


@WhoAmI.query("parties.whoami", http="GET /me", scope="parties:self", title=("Who am I", "我是谁"))
def who_am_i(ctx: Context, request: WhoAmI) -> Me:
    """The actor, plainly."""
    actor: Actor = ctx.actor
    return Me(
        tenant=actor.tenant,
        person=actor.id,
        organisation=actor.party,
        kind=actor.kind,
        roles=sorted(actor.roles),
        scopes=sorted(actor.scopes),
    )


def _view(organisation: Organisation) -> OrganisationView:
    return OrganisationView(
        id=organisation.id,
        credit_code=organisation.credit_code,
        name=organisation.name,
        name_zh=organisation.name_zh,
        kind=organisation.kind,
        state=organisation.state,  # type: ignore[arg-type]
        created_at=from_us(organisation.created_us),
    )


def _us(moment: datetime | None, default: int) -> int:
    if moment is None:
        return default
    if moment.tzinfo is None:
        raise Invalid("time/no-zone", "A time needs its zone, such as 2026-01-05T09:00:00+08:00.")
    return to_us(moment)
