"""Operations on roles: who acts for whom, with what scope, until when, and by whose authority."""

from datetime import datetime

from pydantic import Field

from entrepot.kernel.database.schema import from_us, to_us
from entrepot.kernel.operations import Answer, Context, Forbidden, Invalid, Request, own_party
from entrepot.kernel.parties.operations import Done
from entrepot.kernel.parties.service import ADMINISTRATORS, DAY_US, Assignment

LATEST = to_us(datetime.fromisoformat("9999-12-31T00:00:00+00:00"))


class AssignmentView(Answer):
    """A person's role for an organisation. `valid_until` is null where the role has no end."""

    person: str
    organisation: str
    role: str
    valid_from: datetime
    valid_until: datetime | None
    granted_by: str


class AssignmentList(Answer):
    """Role assignments, past and future ones too, by person."""

    assignments: list[AssignmentView]


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
    start = ctx.now_us if request.valid_from is None else _us(request.valid_from)
    until = start + 365 * DAY_US if request.valid_until is None else _us(request.valid_until)
    ctx.parties.grant(request.person_id, request.organisation_id, request.role, start, until)
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


class ListAssignments(Request[AssignmentList]):
    """Who holds which role, for a person, an organisation, or all."""

    person_id: str = Field("", max_length=64)
    organisation_id: str = Field("", max_length=64)
    limit: int = Field(1_000, ge=1, le=10_000)


@ListAssignments.query(
    "parties.roles", http="GET /roles", scope="parties:inspect", title=("Role assignments", "角色授予情况")
)
def list_assignments(ctx: Context, request: ListAssignments) -> AssignmentList:
    """For those who grant and those who audit."""
    found = ctx.parties.assignments(request.person_id, request.organisation_id, request.limit)
    return AssignmentList(assignments=[_view(assignment) for assignment in found])


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
    """Only a role that the appointing person holds, no longer than they hold it, and no administrator's."""
    _check_passing_on(ctx, request.role, request.person_id)
    until = _us(request.valid_until)
    held = [a for a in _of(ctx, ctx.actor.id, request.organisation_id) if a.role == request.role]
    latest = max((a.valid_until_us for a in held), default=0)
    if until > latest:
        raise Forbidden(
            "role/beyond-own-term", "You cannot appoint for longer than your own term.", latest=_end(latest)
        )
    standing = [a for a in _of(ctx, request.person_id, request.organisation_id) if a.role == request.role]
    if any(a.valid_until_us > until and a.granted_by != ctx.actor.id for a in standing):
        raise Forbidden("role/granted-by-other", f"{request.person_id} holds that role for longer by another's grant.")
    ctx.parties.grant(request.person_id, request.organisation_id, request.role, ctx.now_us, until)
    return Done(id=request.person_id)


class EndAgent(Request[Done]):
    """End the appointment of an agent of your own organisation at once (终止代理)."""

    organisation_id: str = Field(max_length=64)
    person_id: str = Field(max_length=64)
    role: str = Field(min_length=1, max_length=64)


@EndAgent.command(
    "parties.end_agent",
    http="POST /organisations/{organisation_id}/agents/end",
    scope="parties:appoint",
    title=("End agent's appointment", "终止代理授权"),
    relation=own_party("organisation_id"),
    confirm=True,
    subject="person_id",
    example={"organisation_id": "org_0", "person_id": "per_0", "role": "trader"},
)
def end_agent(ctx: Context, request: EndAgent) -> Done:
    """Whoever could appoint in the role can end it."""
    _check_passing_on(ctx, request.role, request.person_id)
    ctx.parties.revoke(request.person_id, request.organisation_id, request.role)
    return Done(id=request.person_id)


class ListAgents(Request[AssignmentList]):
    """Who acts for your own organisation, in which role and until when."""

    organisation_id: str = Field(max_length=64)


@ListAgents.query(
    "parties.agents",
    http="GET /organisations/{organisation_id}/agents",
    scope="parties:appoint",
    title=("Agents", "代理人"),
    relation=own_party("organisation_id"),
    example={"organisation_id": "org_0"},
)
def list_agents(ctx: Context, request: ListAgents) -> AssignmentList:
    """Of the actor's own organisation."""
    found = ctx.parties.assignments(organisation=request.organisation_id)
    return AssignmentList(assignments=[_view(assignment) for assignment in found])


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


def _check_passing_on(ctx: Context, role: str, person_id: str) -> None:
    # The scopes too: a key with a few of its holder's permissions must not hand out all of them.
    scopes = ctx.registry.roles.get(role, frozenset())
    if role in ADMINISTRATORS or role not in ctx.actor.roles or scopes - ctx.actor.scopes:
        raise Forbidden("role/not-held", f"You can pass on only roles that you hold in full, not {role!r}.")
    if person_id == ctx.actor.id:
        raise Forbidden("permission/own-approval", "Nobody appoints themselves.")


def _of(ctx: Context, person: str, organisation: str) -> list[Assignment]:
    return ctx.parties.assignments(person, organisation)


def _view(assignment: Assignment) -> AssignmentView:
    return AssignmentView(
        person=assignment.person,
        organisation=assignment.organisation,
        role=assignment.role,
        valid_from=from_us(assignment.valid_from_us),
        valid_until=None if assignment.valid_until_us > LATEST else from_us(assignment.valid_until_us),
        granted_by=assignment.granted_by,
    )


def _end(valid_until_us: int) -> str:
    return "no end" if valid_until_us > LATEST else from_us(valid_until_us).isoformat()


def _us(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise Invalid("time/no-zone", "A time needs its zone, such as 2026-01-05T09:00:00+08:00.")
    return to_us(moment)
