"""Where a facility stands against its lines, and what follows: notice, margin call, disposal, cure."""

from datetime import datetime

from entrepot.kernel.casework import Action, CaseType, define
from entrepot.kernel.operations import Context
from entrepot.kernel.reference import working_deadline
from entrepot.systems.tradefinance import timed
from entrepot.systems.tradefinance.books import Position, facilities, position, today, valuations
from entrepot.systems.tradefinance.model import Facility, Valuation
from entrepot.systems.tradefinance.rules import SEVERITY, amount_to_cure, level

MARGIN_CALL = define(
    CaseType(
        "margin_call",
        ("Margin call", "补足担保通知"),
        "called",
        ("cured", "expired"),
        (
            Action("cure", ("Cured", "已补足"), ("called",), "cured", ("system",)),
            Action("expire", ("Deadline passed", "逾期"), ("called",), "expired", ("system",)),
        ),
        states={
            "called": ("Awaiting top-up", "待补足"),
            "cured": ("Cured", "已补足"),
            "expired": ("Expired", "已逾期"),
        },
    )
)
DISPOSAL = define(
    CaseType(
        "disposal",
        ("Disposal", "处置"),
        "noticed",
        ("sold", "withdrawn"),
        (
            Action("offer", ("Offered for sale", "挂牌出售"), ("noticed",), "offered", ("system",)),
            Action("sell", ("Sold", "已成交"), ("noticed", "offered"), "sold", ("system",)),
            Action("reopen", ("Not sold", "流拍"), ("offered",), "noticed", ("system",)),
            Action("withdraw", ("Withdrawn", "已撤回"), ("noticed",), "withdrawn", ("system",)),
        ),
        states={
            "noticed": ("Notice given", "已通知"),
            "offered": ("Offered for sale", "挂牌中"),
            "sold": ("Sold", "已成交"),
            "withdrawn": ("Withdrawn", "已撤回"),
        },
    )
)


def assess(ctx: Context, facility: Facility, *, allow_stale: bool = True) -> Position:
    """Value the facility, record the valuation of the day, and act on the line that it has reached."""
    at = position(ctx, facility, allow_stale=allow_stale)
    reached = level(at.ltv_bp, facility.warning_bp, facility.top_up_bp, facility.disposal_bp)
    if not at.kilograms:
        reached = "ok"  # there is nothing to top up or sell; a deficiency is collected in other ways
    if at.price:
        valuations(ctx).put(
            Valuation(
                facility_id=facility.id,
                at=ctx.now_us,
                day=today(ctx).isoformat(),
                price=at.price,
                value=at.value,
                debt=at.debt,
                ltv_bp=at.ltv_bp,
                level=reached,
            )
        )
    if reached != facility.level:
        ctx.emit(
            "tradefinance.level",
            {"from": facility.level, "to": reached, "ltv_bp": at.ltv_bp, "value": at.value, "debt": at.debt},
            facility.id,
        )
    changed = _follow(ctx, facility, at, reached)
    if changed.level != reached:
        facilities(ctx).change(changed, level=reached)
    return at


def _follow(ctx: Context, facility: Facility, at: Position, reached: str) -> Facility:
    if SEVERITY[reached] == 0:
        return cure(ctx, facility)
    if reached == "warning":
        if SEVERITY[facility.level] < SEVERITY["warning"]:
            _notify(ctx, facility, "warning", ("Warning line reached", "触及警戒线"), at)
        return facility
    if reached == "top_up":
        return facility if facility.call_case or facility.disposal_case else call_margin(ctx, facility, at)
    return facility if facility.disposal_case else give_notice(ctx, facility, at)


def call_margin(ctx: Context, facility: Facility, at: Position) -> Facility:
    """Open the margin call with its deadline in working time."""
    deadline = working_deadline(ctx.now, hours=facility.cure_hours)
    needed = amount_to_cure(at.debt, at.value, facility.advance_rate_bp)
    case_id = _open(ctx, facility, MARGIN_CALL, deadline, {"needed": needed, "ltv_bp": at.ltv_bp})
    ctx.timers.at(deadline, timed.ExpireCall(facility_id=facility.id, case_id=case_id), key=f"call:{case_id}")
    _notify(ctx, facility, "margin_call", ("Margin call", "补足担保通知"), at, deadline, needed)
    return facilities(ctx).change(facility, call_case=case_id)


def give_notice(ctx: Context, facility: Facility, at: Position) -> Facility:
    """Announce the disposal; the goods stay the owner's until they are sold (no forfeiture)."""
    if facility.call_case:
        ctx.timers.cancel(f"call:{facility.call_case}")
        ctx.cases.act(facility.call_case, "expire", "the disposal line was reached")
    deadline = working_deadline(ctx.now, hours=facility.notice_hours)
    case_id = _open(ctx, facility, DISPOSAL, deadline, {"ltv_bp": at.ltv_bp})
    ctx.timers.at(deadline, timed.Dispose(facility_id=facility.id, case_id=case_id), key=f"disposal:{case_id}")
    _notify(ctx, facility, "disposal", ("Notice of disposal", "处置通知"), at, deadline)
    return facilities(ctx).change(facility, call_case="", disposal_case=case_id)


def on_sale(ctx: Context, facility: Facility) -> bool:
    """Whether the goods are offered to a buyer who has not paid yet: until then they stay as they were offered."""
    return bool(facility.disposal_case) and ctx.cases.get(facility.disposal_case).state == "offered"


def put_off(ctx: Context, facility: Facility, *, hours: int = 0) -> datetime:
    """The sale did not come about: notice is given once more, or another look is taken after some working hours."""
    if on_sale(ctx, facility):
        ctx.cases.act(facility.disposal_case, "reopen")
    deadline = working_deadline(ctx.now, hours=hours or facility.notice_hours)
    request = timed.Dispose(facility_id=facility.id, case_id=facility.disposal_case)
    ctx.timers.at(deadline, request, key=f"disposal:{facility.disposal_case}")
    if not hours:
        at = position(ctx, facility, allow_stale=True)
        _notify(ctx, facility, "disposal", ("Not sold: new date of disposal", "流拍：另行处置通知"), at, deadline)
    return deadline


def cure(ctx: Context, facility: Facility) -> Facility:
    """Below the warning line again: close the call, withdraw a disposal that has not been offered."""
    if facility.call_case:
        ctx.timers.cancel(f"call:{facility.call_case}")
        ctx.cases.act(facility.call_case, "cure")
        facility = facilities(ctx).change(facility, call_case="")
    if facility.disposal_case and ctx.cases.get(facility.disposal_case).state == "noticed":
        ctx.timers.cancel(f"disposal:{facility.disposal_case}")
        ctx.cases.act(facility.disposal_case, "withdraw")
        facility = facilities(ctx).change(facility, disposal_case="")
    return facility


def _open(ctx: Context, facility: Facility, kind: CaseType, deadline: datetime, data: dict[str, int]) -> str:
    from entrepot.kernel.database.schema import to_us

    return ctx.cases.open(
        kind.name,
        facility.id,
        (f"{kind.title[0]}: {facility.id}", f"{kind.title[1]}：{facility.id}"),
        party=facility.borrower,
        data=data,
        due_us=to_us(deadline),
        parties=(("creditor", facility.lender), ("custodian", facility.custodian)),
    )


def _notify(
    ctx: Context, facility: Facility, kind: str, title: tuple[str, str], at: Position,
    deadline: datetime | None = None, needed: int = 0,
) -> None:  # fmt: skip
    from entrepot.kernel.reference import REGION

    english = f"Loan-to-value {at.ltv_bp / 100:.2f} % (debt {at.debt} fen, goods {at.value} fen)."
    chinese = f"当前质押率 {at.ltv_bp / 100:.2f}%（债务 {at.debt} 分，质物 {at.value} 分）。"
    if needed:
        english += f" Repay {needed} fen or pledge more."
        chinese += f"请还款 {needed} 分或追加质物。"
    if deadline is not None:
        local = deadline.astimezone(REGION).strftime("%Y-%m-%d %H:%M")
        english += f" Deadline {local}."
        chinese += f"截止时间 {local}。"
    for party in (facility.borrower, facility.lender):
        ctx.notices.send(party, kind, title, (english, chinese), facility.id)
