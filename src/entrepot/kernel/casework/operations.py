"""Operations on cases: the inbox, one case, its steps, and the tenant's own types."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from entrepot.kernel.casework.service import RELATIONS, Case
from entrepot.kernel.casework.types import Action, CaseType, ClockEffect
from entrepot.kernel.database.schema import from_us
from entrepot.kernel.operations import Answer, Context, NotFound, RelationRule, Request

READ_ALL = "casework:read_all"
NAME = r"^[a-z][a-z0-9_-]{0,62}$"


def _on_case(*, readers: bool = False) -> RelationRule:
    """Whoever the case lies with, or who stands in a relation to it; with `readers` also who reads all cases."""

    def check(ctx: Context, request: Any) -> bool:
        if readers and READ_ALL in ctx.actor.scopes:
            return True
        return bool(ctx.cases.held(request.case_id, ctx.actor.party, ctx.actor.id))

    return RelationRule("case_id", RELATIONS, check)


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
    overdue: bool
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
    state: str = Field("", max_length=64)
    mine: bool = Field(False, description="Only those assigned to you")
    overdue: bool = Field(False, description="Only those past their deadline, the longest overdue first")
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
        state=request.state,
        assignee=ctx.actor.id if request.mine else "",
        due_before_us=ctx.now_us if request.overdue else None,
        limit=request.limit,
    )
    return CaseList(cases=[_view(ctx, case) for case in found])


class GetCase(Request[CaseDetail]):
    """One case with its history and the steps that you can take."""

    case_id: str = Field(max_length=64)


@GetCase.query("casework.get", http="GET /cases/{case_id}", scope="casework:read", title=("Case", "办件"),
               relation=_on_case(readers=True), example={"case_id": "cas_0"})  # fmt: skip
def get_case(ctx: Context, request: GetCase) -> CaseDetail:
    """For whoever has a relation to it."""
    case = ctx.cases.get(request.case_id)
    kind = ctx.cases.types.get(case.type)
    title = kind.states.get(case.state, (case.state, case.state))
    mine = ctx.cases.held(request.case_id, ctx.actor.party, ctx.actor.id) | ctx.actor.roles
    steps = [a for a in kind.steps(case.state) if not (a.relations or a.roles) or mine & {*a.relations, *a.roles}]
    return CaseDetail(
        case=_view(ctx, case),
        state_title=title[0],
        state_title_zh=title[1],
        history=[
            EntryView(
                at=from_us(e.at_us), actor=e.actor, action=e.action, state=e.state, note=e.note, document=e.document
            )
            for e in ctx.cases.history(request.case_id)
        ],
        steps=[StepView(action=a.name, title=a.title[0], title_zh=a.title[1], needs=list(a.needs)) for a in steps],
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
    relation=_on_case(),
    example={"case_id": "cas_0", "action": "close", "note": "seen on site"},
)
def act_on_case(ctx: Context, request: ActOnCase) -> CaseView:
    """The type says which relation or role may take the step."""
    held = None if ctx.actor.kind == "system" else ctx.cases.held(request.case_id, ctx.actor.party, ctx.actor.id)
    case = ctx.cases.act(
        request.case_id,
        request.action,
        request.note,
        document=request.document,
        relations=held,
        roles=ctx.actor.roles,
    )
    return _view(ctx, case)


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
    relation=_on_case(),
    example={"case_id": "cas_0", "note": "called the keeper"},
)
def note_on_case(ctx: Context, request: NoteOnCase) -> CaseView:
    """History grows, nothing is rewritten."""
    ctx.cases.note(request.case_id, request.note, document=request.document)
    return _view(ctx, ctx.cases.get(request.case_id))


class AssignCase(Request[CaseView]):
    """Give a case to a person."""

    case_id: str = Field(max_length=64)
    person: str = Field(min_length=1, max_length=64)


@AssignCase.command(
    "casework.assign",
    http="POST /cases/{case_id}/assignee",
    scope="casework:act",
    title=("Assign case", "指派办件"),
    relation=_on_case(),
    example={"case_id": "cas_0", "person": "per_0"},
)
def assign_case(ctx: Context, request: AssignCase) -> CaseView:
    """To anyone of the tenant's people."""
    if not ctx.parties.person_exists(request.person):
        raise NotFound("person/unknown", f"There is no person {request.person}.")
    return _view(ctx, ctx.cases.assign(request.case_id, request.person))


class MarkOverdue(Request[CaseView]):
    """Note that a case has passed its deadline, and tell those who must know."""

    case_id: str = Field(max_length=64)
    due_us: int = Field(ge=0, description="The deadline, microseconds since 1970: a moved one is left alone")


@MarkOverdue.command(
    "casework.mark_overdue",
    http="POST /cases/{case_id}/overdue",
    scope="casework:watch",
    title=("Mark overdue", "超期提醒"),
    subject="case_id",
    example={"case_id": "cas_0", "due_us": 0},
)
def mark_overdue(ctx: Context, request: MarkOverdue) -> CaseView:
    """Fired by the case's timer."""
    return _view(ctx, ctx.cases.mark_overdue(request.case_id, request.due_us))


class Names(Answer):
    """A name in both languages."""

    en: str = Field(min_length=1, max_length=120)
    zh: str = Field(min_length=1, max_length=120)


class StepType(Answer):
    """A step of a case type; see the documentation of actions."""

    name: str = Field(pattern=NAME)
    title: Names
    sources: list[str] = Field(default=[], max_length=50, description="Empty: every state that is not final")
    target: str = Field("", max_length=64, description="Empty: the state stays")
    relations: list[str] = Field(default=[], max_length=20)
    roles: list[str] = Field(default=[], max_length=20)
    needs: list[Literal["note", "document"]] = Field(default=[], max_length=2)
    clock: ClockEffect = "restart"
    extra_hours: int = Field(0, ge=0, le=2_000)


class TypeDefined(Answer):
    """That a case type holds in this tenant."""

    id: str
    states: list[str]


class DefineType(Request[TypeDefined]):
    """Define a case type of this tenant, or one in place of a system's."""

    name: str = Field(pattern=NAME)
    title: Names
    first: str = Field(pattern=NAME)
    final: list[str] = Field(min_length=1, max_length=20)
    actions: list[StepType] = Field(min_length=1, max_length=100)
    states: dict[str, Names] = Field(default={}, max_length=100)
    hours: dict[str, int] = Field(default={}, max_length=100, description="Hours until a state is overdue")
    calendar: Literal["natural", "legal", "bank", "exchange"] = "legal"
    watch: bool = False


@DefineType.command(
    "casework.define_type",
    http="POST /types/{name}",
    scope="casework:define",
    title=("Define case type", "设置办件类型"),
    subject="name",
    confirm=True,
    example={
        "name": "pothole",
        "title": {"en": "Pothole", "zh": "路面坑洼"},
        "first": "reported",
        "final": ["closed"],
        "actions": [{"name": "close", "title": {"en": "Close", "zh": "结案"}, "target": "closed"}],
        "hours": {"reported": 24},
    },
)
def define_type(ctx: Context, request: DefineType) -> TypeDefined:
    """Cases that are open go on under it; it is refused where it would strand one."""
    actions = tuple(
        Action(
            one.name,
            (one.title.en, one.title.zh),
            tuple(one.sources),
            one.target,
            tuple(one.relations),
            tuple(one.needs),
            tuple(one.roles),
            one.clock,
            one.extra_hours,
        )
        for one in request.actions
    )
    kind = CaseType(
        request.name,
        (request.title.en, request.title.zh),
        request.first,
        tuple(request.final),
        actions,
        {state: (title.en, title.zh) for state, title in request.states.items()},
        dict(request.hours),
        request.calendar,
        request.watch,
    )
    ctx.cases.define(kind)
    return TypeDefined(id=kind.name, states=sorted(kind.known_states))


def _view(ctx: Context, case: Case) -> CaseView:
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
        overdue=case.due_us is not None and case.due_us < ctx.now_us,
        data=case.data,
    )
