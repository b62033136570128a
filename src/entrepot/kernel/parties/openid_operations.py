"""Operations on sign-in through an OpenID Connect issuer: the session, and who is linked to which account."""

from pydantic import Field

from entrepot.kernel.database.schema import from_us
from entrepot.kernel.operations import Answer, Context, Forbidden, Request, Unauthorised
from entrepot.kernel.parties.operations import SignedIn
from entrepot.kernel.parties.service import SESSION_US
from entrepot.kernel.parties.tables import subjects

# Held by no role: whoever has it is believed about what the issuer said, so only the console's own door has it.
VOUCH = "parties:vouch"


class SignInOpenId(Request[SignedIn]):
    """Open a session for the account at the issuer whose ID token the console has just checked."""

    issuer: str = Field(min_length=8, max_length=200, description="The issuer's URL")
    subject: str = Field(min_length=1, max_length=255, description="The claim `sub`")


@SignInOpenId.command(
    "parties.sign_in_openid",
    http="POST /sessions/openid",
    scope=VOUCH,
    title=("Sign in through the issuer", "通过身份提供方登录"),
    subject="person",
    example={"issuer": "https://id.example", "subject": "248289"},
)
def sign_in_openid(ctx: Context, request: SignInOpenId) -> SignedIn:
    """For the organisation that the account was linked for, as long as the person acts for it."""
    if ctx.actor.kind != "system":
        raise Forbidden("permission/only-systems", "Only the console vouches for what the issuer said.")
    row = ctx.uow.row(subjects, (ctx.tenant, request.issuer.rstrip("/"), request.subject))
    if row is None:
        raise Unauthorised("sign-in/unknown-subject", "Your account at the issuer is linked to nobody here yet.")
    person, chosen = str(row[3]), str(row[4])
    current = [a for a in ctx.parties.assignments(person) if a.valid_from_us <= ctx.now_us < a.valid_until_us]
    organisations = sorted({assignment.organisation for assignment in current})
    if chosen not in organisations:
        raise Forbidden("sign-in/no-role", "Your account is linked, but you act for its organisation no longer.")
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


class LinkedSubject(Answer):
    """An account at an issuer, and whom it is here."""

    issuer: str
    subject: str
    person: str
    organisation: str


class LinkedSubjects(Answer):
    """Linked accounts, by issuer and subject."""

    subjects: list[LinkedSubject]


class ListSubjects(Request[LinkedSubjects]):
    """Accounts at OpenID Connect issuers that are linked to people here."""

    person_id: str = Field("", max_length=64, description="Only this person's; everyone's by default")
    limit: int = Field(500, ge=1, le=1000)


@ListSubjects.query(
    "parties.subjects",
    http="GET /subjects",
    scope="parties:grant",
    title=("Linked sign-in accounts", "已关联的登录账户"),
)
def list_subjects(ctx: Context, request: ListSubjects) -> LinkedSubjects:
    """All of a person, or all."""
    rows = ctx.uow.fetch(
        "SELECT issuer, subject, person, organisation FROM openid_subjects "
        "WHERE tenant = %s AND (%s = '' OR person = %s) ORDER BY issuer, subject LIMIT %s",
        (ctx.tenant, request.person_id, request.person_id, request.limit),
    )
    return LinkedSubjects(
        subjects=[
            LinkedSubject(issuer=issuer, subject=subject, person=person, organisation=organisation)
            for issuer, subject, person, organisation in rows
        ]
    )


class Unlinked(Answer):
    """The person who was linked, and how many open sessions ended."""

    id: str
    sessions_ended: int


class UnlinkSubject(Request[Unlinked]):
    """End the link between an account at an OpenID Connect issuer and a person, and the person's open sessions."""

    issuer: str = Field(min_length=8, max_length=200, description="The issuer's URL")
    subject: str = Field(min_length=1, max_length=255, description="The claim `sub`")


@UnlinkSubject.command(
    "parties.unlink_subject",
    http="POST /subjects/revocation",
    scope="parties:grant",
    title=("Unlink sign-in account", "解除登录账户关联"),
    confirm=True,
    subject="id",
    example={"issuer": "https://id.example", "subject": "248289"},
)
def unlink_subject(ctx: Context, request: UnlinkSubject) -> Unlinked:
    """Works before this command is answered, on what is open too."""
    person, organisation = ctx.parties.unlink_subject(request.issuer, request.subject)
    # A session does not say how it was opened, so all of the person for that organisation end; they sign in again.
    opened = ctx.uow.fetch(
        "SELECT id FROM credentials WHERE tenant = %s AND person = %s AND organisation = %s AND kind = 'session' "
        "AND revoked_at = 0 AND expires_at > %s ORDER BY id",
        (ctx.tenant, person, organisation, ctx.now_us),
    )
    for (identifier,) in opened:
        ctx.parties.revoke_credential(identifier)
    return Unlinked(id=person, sessions_ended=len(opened))
