"""Operations on cases: the inbox, one case, its steps."""

from datetime import datetime
from typing import Any

from pydantic import Field

from entrepot.kernel.casework.service import Case
from entrepot.kernel.casework.types import case_type
from entrepot.kernel.database.schema import from_us
from entrepot.kernel.operations import Answer, Context, Forbidden, Request, related

READ_ALL = "casework:read_all"
EVERY_RELATION = ("party", "supervisor", "creditor", "owner", "custodian")
Title = tuple[str, str]


class CaseView(Answer):
    """A case in a list."""

    id: str
    type: str
    state: str
    closed: bool
    title: str
    title_zh: str
    subject: str
    party: str
    assignee: str
    opened_at: datetime
    due_at: datetime | None
    data: dict[str, Any]


class CaseList(Answer):
    """Cases, the newest first."""

    cases: list[CaseView]


class StepView(Answer):
    """A step that a case can take now."""

    action: str
    title: str
    title_zh: str
    needs: list[str]


class EntryView(Answer):
    """A line of a case's history."""

    at: datetime
    actor: str
    action: str
    state: str
    note: str
    document: str


class CaseDetail(Answer):
    """A case with its history and possible steps."""

    case: CaseView
    state_title: str
    state_title_zh: str
    history: list[EntryView]
    steps: list[StepView]


class ListCases(Request[CaseList]):
    """Cases of your party; all of the tenant for those who supervise it."""

    type: str = Field("", max_length=64)
    subject: str = Field("", max_length=64)
    include_closed: bool = False
    limit: int = Field(200, ge=1, le=1000)


@ListCases.query("casework.list", http="GET /cases", scope="casework:read", title=("Cases", "办件列表"))
def list_cases(ctx: Context, request: ListCases) -> CaseList:
    """The inbox."""
    party = None if READ_ALL in ctx.actor.scopes else ctx.actor.party
    found = ctx.cases.list(
        party=party,
        open_only=not request.include_closed,
        type=request.type,
        subject=request.subject,
        limit=request.limit,
    )
    return CaseList(cases=[view(case) for case in found])


class GetCase(Request[CaseDetail]):
    """One case with its history and the steps it can take."""

    case_id: str = Field(max_length=64)


@GetCase.query("casework.get", http="GET /cases/{case_id}", scope="casework:read", title=("Case", "办件"),
               example={"case_id": "cas_0"})  # fmt: skip
def get_case(ctx: Context, request: GetCase) -> CaseDetail:
    """For whoever has a relation to it."""
    if READ_ALL not in ctx.actor.scopes:
        related_rule = related("case_id", *EVERY_RELATION)
        if ctx.actor.kind != "system" and not related_rule.check(ctx, request):
            raise Forbidden("permission/no-relation", f"casework.get: you must be {related_rule.describe()}.")
    case = ctx.cases.get(request.case_id)
    kind = case_type(case.type)
    title = kind.states.get(case.state, (case.state, case.state))
    return CaseDetail(
        case=view(case),
        state_title=title[0],
        state_title_zh=title[1],
        history=[
            EntryView(
                at=from_us(e.at_us), actor=e.actor, action=e.action, state=e.state, note=e.note, document=e.document
            )
            for e in ctx.cases.history(request.case_id)
        ],
        steps=[
            StepView(action=a.name, title=a.title[0], title_zh=a.title[1], needs=list(a.needs))
            for a in kind.actions
            if case.state in a.sources
        ],
    )


class ActOnCase(Request[CaseView]):
    """Take a case one step further."""

    case_id: str = Field(max_length=64)
    action: str = Field(min_length=1, max_length=64)
    note: str = Field("", max_length=2000)
    document: str = Field("", max_length=128, description="Digest of an uploaded document, such as a photo")


@ActOnCase.command(
    "casework.act",
    http="POST /cases/{case_id}/steps",
    scope="casework:act",
    title=("Act on case", "处理办件"),
    relation=related("case_id", *EVERY_RELATION),
    example={"case_id": "cas_0", "action": "close", "note": "seen on site"},
)
def act_on_case(ctx: Context, request: ActOnCase) -> CaseView:
    """The type says which relation may take the step."""
    held = frozenset(
        relation for relation in EVERY_RELATION if ctx.relations.has(request.case_id, relation, ctx.actor.party)
    )
    relations = None if ctx.actor.kind == "system" else held
    return view(
        ctx.cases.act(request.case_id, request.action, request.note, document=request.document, relations=relations)
    )


class NoteOnCase(Request[CaseView]):
    """Add a remark to a case."""

    case_id: str = Field(max_length=64)
    note: str = Field(min_length=1, max_length=2000)
    document: str = Field("", max_length=128)


@NoteOnCase.command(
    "casework.note",
    http="POST /cases/{case_id}/notes",
    scope="casework:act",
    title=("Add note", "添加备注"),
    relation=related("case_id", *EVERY_RELATION),
    example={"case_id": "cas_0", "note": "called the keeper"},
)
def note_on_case(ctx: Context, request: NoteOnCase) -> CaseView:
    """History grows, nothing is rewritten."""
    ctx.cases.note(request.case_id, request.note, document=request.document)
    return view(ctx.cases.get(request.case_id))


class AssignCase(Request[CaseView]):
    """Give a case to a person."""

    case_id: str = Field(max_length=64)
    person: str = Field(min_length=1, max_length=64)


@AssignCase.command(
    "casework.assign",
    http="POST /cases/{case_id}/assignee",
    scope="casework:act",
    title=("Assign case", "指派办件"),
    relation=related("case_id", *EVERY_RELATION),
    example={"case_id": "cas_0", "person": "per_0"},
)
def assign_case(ctx: Context, request: AssignCase) -> CaseView:
    """To anyone of the tenant's people."""
    return view(ctx.cases.assign(request.case_id, request.person))


def view(case: Case) -> CaseView:
    """A case as it is shown."""
    return CaseView(
        id=case.id,
        type=case.type,
        state=case.state,
        closed=case.closed,
        title=case.title,
        title_zh=case.title_zh,
        subject=case.subject,
        party=case.party,
        assignee=case.assignee,
        opened_at=from_us(case.opened_us),
        due_at=None if case.due_us is None else from_us(case.due_us),
        data=case.data,
    )
