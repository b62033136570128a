"""Operations on parties: registration, verification, sign-in. See also `role_operations`, `key_operations`."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from entrepot.kernel.database import UnitOfWork
from entrepot.kernel.database.schema import from_us
from entrepot.kernel.operations import (
    Actor,
    Answer,
    Conflict,
    Context,
    Forbidden,
    Personal,
    Request,
    Secret,
    TooMany,
    Unauthorised,
    requester_of,
)
from entrepot.kernel.parties.checks import identity_number
from entrepot.kernel.parties.service import (
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


class FreezeOrganisation(Request[Done]):
    """Freeze an organisation, so that nobody acts for it, or release it again; its people are not told why."""

    organisation_id: str = Field(max_length=64)
    frozen: bool
    reason: str = Field(min_length=1, max_length=200, description="Order or file number; for auditors only")


@FreezeOrganisation.command(
    "parties.freeze_organisation",
    http="POST /organisations/{organisation_id}/freeze",
    scope="parties:freeze",
    title=("Freeze organisation", "冻结机构"),
    confirm=True,
    subject="organisation_id",
    example={"organisation_id": "org_0", "frozen": True, "reason": "order 2026-17"},
)
def freeze_organisation(ctx: Context, request: FreezeOrganisation) -> Done:
    """Works on sessions and keys that are open; nobody freezes the party they act for."""
    if request.organisation_id == ctx.actor.party:
        raise Forbidden("party/own", "Nobody freezes or releases the party they act for.")
    ctx.parties.freeze_organisation(request.organisation_id, request.frozen)
    return Done(id=request.organisation_id)


class OrganisationFile(OrganisationView):
    """What was recorded and checked of an organisation. People appear as ids: their names lie in the vault."""

    legal_representative: str
    beneficial_owners: list[str]
    evidence: str
    frozen: bool


class ReadOrganisation(Request[OrganisationFile]):
    """The file of one organisation: representative, beneficial owners, evidence of its verification."""

    organisation_id: str = Field(max_length=64)


@ReadOrganisation.query(
    "parties.organisation_file",
    http="GET /organisations/{organisation_id}/file",
    scope="parties:inspect",
    title=("Organisation's file", "机构档案"),
    example={"organisation_id": "org_0"},
)
def read_organisation(ctx: Context, request: ReadOrganisation) -> OrganisationFile:
    """For those who verify, freeze and audit."""
    found = ctx.parties.organisation(request.organisation_id)
    return OrganisationFile(
        **_view(found).model_dump(),
        legal_representative=found.legal_representative,
        beneficial_owners=list(found.beneficial_owners),
        evidence=found.evidence,
        frozen=found.frozen,
    )


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
    # The row is locked so that tries side by side wait for one another. Only tries that met the password count:
    # refusals of a locked account must not push those out of sight.
    ctx.uow.lock(accounts, (ctx.tenant, user_name))
    rows = ctx.uow.fetch(
        "SELECT status FROM events WHERE tenant = %s AND subject = %s AND at > %s AND status IN (200, 401) "
        "AND type IN ('parties.sign_in', 'parties.change_password') ORDER BY id DESC LIMIT %s",
        (ctx.tenant, user_name, ctx.now_us - LOCK_US, LOCK_AFTER),
    )
    if len(rows) == LOCK_AFTER and all(status == 401 for (status,) in rows):
        raise TooMany(
            "sign-in/locked", "Too many wrong passwords; wait a quarter of an hour.", retry_after_s=LOCK_US // 1_000_000
        )


class ChangePassword(Request[Done]):
    """Change the password of your local account; your other sessions end, your keys stay."""

    user_name: str = Field(min_length=1, max_length=64)
    password: Secret[str] = Field(min_length=1, max_length=200)
    new_password: Secret[str] = Field(min_length=10, max_length=200)


def _verify_and_hash(uow: UnitOfWork, tenant: str, request: Any) -> tuple[str, str]:
    return check_password(uow, tenant, request.user_name, request.password), hash_password(request.new_password)


@ChangePassword.command(
    "parties.change_password", http="POST /password", scope="parties:self", title=("Change password", "修改密码"),
    rate=120, prepare=_verify_and_hash, subject="user_name",
    example={"user_name": "li.na", "password": "correct horse battery", "new_password": "battery horse correct"},
)  # fmt: skip
def change_password(ctx: Context, request: ChangePassword) -> Done:
    """Wrong passwords count as at sign-in: whoever found an open session learns no password from it."""
    _refuse_when_locked(ctx, request.user_name)
    account = ctx.uow.row(accounts, (ctx.tenant, request.user_name))
    fitting, changed = ctx.prepared
    if account is None or account[2] != ctx.actor.id or not fitting or account[3] != fitting:
        raise Unauthorised("sign-in/wrong", "User name or password is wrong.")
    ctx.parties.change_password(request.user_name, changed, keep=ctx.actor.session)
    return Done(id=ctx.actor.id)


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
