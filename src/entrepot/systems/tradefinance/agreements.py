"""Commands that make a facility: opening, three signatures, query certificate, registration."""

import json

from pydantic import Field

from entrepot.kernel.operations import (
    Answer,
    Conflict,
    Context,
    Forbidden,
    Invalid,
    Request,
    creditor_of,
    own_party,
    related,
)
from entrepot.systems.tradefinance.books import facilities, today
from entrepot.systems.tradefinance.contract import FacilityView
from entrepot.systems.tradefinance.model import Facility
from entrepot.systems.tradefinance.rules import BASIS
from entrepot.systems.tradefinance.views import facility_view

DAY_US = 86_400_000_000


class FacilityOpened(Answer):
    """The new facility."""

    id: str


class OpenFacility(Request[FacilityOpened]):
    """Draft a facility; it is active when lender, borrower and custodian have signed."""

    lender: str = Field(max_length=64, description="Your own party: the pledgee")
    borrower: str = Field(min_length=1, max_length=64)
    custodian: str = Field(min_length=1, max_length=64, description="Who keeps the goods for the pledgee")
    series: str = Field("brent-cny-t", max_length=64, description="Price series that the goods are valued by")
    advance_rate_bp: int = Field(6_000, gt=0, lt=BASIS, description="Most that is lent, share of value, basis points")
    warning_bp: int = Field(7_000, gt=0, description="Warning line 警戒线")
    top_up_bp: int = Field(7_500, gt=0, description="Top-up line 补足线")
    disposal_bp: int = Field(8_500, gt=0, le=2 * BASIS, description="Disposal line 处置线")
    rate_bp: int = Field(720, ge=0, le=2_400, description="Interest a year, basis points")
    cure_hours: int = Field(18, ge=1, le=180, description="Working hours to answer a margin call")
    notice_hours: int = Field(18, ge=1, le=180, description="Working hours between the notice and the disposal")
    disposal_discount_bp: int = Field(500, ge=0, le=5_000)
    disposal_cost_bp: int = Field(100, ge=0, le=2_000)
    disposal_buyer: str = Field(min_length=1, max_length=64, description="Party that buys at a disposal sale")


@OpenFacility.command(
    "tradefinance.open_facility",
    http="POST /facilities",
    scope="tradefinance:lend",
    title=("Open facility", "开立授信"),
    relation=own_party("lender"),
    subject="id",
    example={"lender": "org_0", "borrower": "org_1", "custodian": "org_2", "disposal_buyer": "org_3"},
)
def open_facility(ctx: Context, request: OpenFacility) -> FacilityOpened:
    """The lines rise from the advance rate to the disposal line."""
    if not request.advance_rate_bp < request.warning_bp < request.top_up_bp < request.disposal_bp:
        raise Invalid("tradefinance/lines", "Advance rate, warning, top-up and disposal line must rise in this order.")
    if len({request.lender, request.borrower, request.custodian}) < 3:
        raise Invalid("tradefinance/three-parties", "Lender, borrower and custodian are three different parties.")
    for party in (request.lender, request.borrower, request.custodian, request.disposal_buyer):
        if ctx.parties.organisation(party).state != "verified":
            raise Conflict("party/unverified", f"{party} is not a verified organisation.")
    ctx.reference.series(request.series)
    identifier = ctx.new_id("fac")
    asset = f"claim.{identifier}"
    ctx.ledger.define_asset(asset, 2, "receivable", request.borrower, facility=identifier)
    facilities(ctx).add(
        Facility(
            id=identifier,
            lender=request.lender,
            borrower=request.borrower,
            custodian=request.custodian,
            asset=asset,
            series=request.series,
            state="drafted",
            level="ok",
            advance_rate_bp=request.advance_rate_bp,
            warning_bp=request.warning_bp,
            top_up_bp=request.top_up_bp,
            disposal_bp=request.disposal_bp,
            rate_bp=request.rate_bp,
            day_count="ACT/360",
            cure_hours=request.cure_hours,
            notice_hours=request.notice_hours,
            disposal_discount_bp=request.disposal_discount_bp,
            disposal_cost_bp=request.disposal_cost_bp,
            disposal_buyer=request.disposal_buyer,
            signed_by="[]",
            certificate="",
            certified_at=0,
            registration="",
            registered_until=0,
            accrued_to=today(ctx).isoformat(),
            carry=0,
            call_case="",
            disposal_case="",
            opened_at=ctx.now_us,
        )
    )
    for relation, party in (
        ("creditor", request.lender),
        ("owner", request.borrower),
        ("custodian", request.custodian),
    ):
        ctx.relations.add(identifier, relation, party, fresh=True)
    return FacilityOpened(id=identifier)


class SignAgreement(Request[FacilityView]):
    """Sign the custody agreement (监管协议) for your party: lender, borrower and custodian must."""

    facility_id: str = Field(max_length=64)


@SignAgreement.command(
    "tradefinance.sign_agreement",
    http="POST /facilities/{facility_id}/signatures",
    scope="tradefinance:sign",
    title=("Sign custody agreement", "签署监管协议"),
    confirm=True,
    relation=related("facility_id", "creditor", "owner", "custodian"),
    example={"facility_id": "fac_0"},
)
def sign_agreement(ctx: Context, request: SignAgreement) -> FacilityView:
    """The third signature makes the facility active."""
    facility = facilities(ctx).lock(request.facility_id)
    signed = json.loads(facility.signed_by)
    if ctx.actor.party in signed:
        raise Conflict("tradefinance/signed", f"{ctx.actor.party} has signed {facility.id} already.")
    needed = {facility.lender, facility.borrower, facility.custodian}
    if ctx.actor.party not in needed:
        raise Forbidden("permission/no-relation", "Only lender, borrower and custodian sign.")
    signed = sorted({*signed, ctx.actor.party})
    state = "active" if set(signed) == needed else facility.state
    return facility_view(ctx, facilities(ctx).change(facility, signed_by=json.dumps(signed), state=state))


class RecordCertificate(Request[FacilityView]):
    """Record the query certificate of the movables registry: nothing is lent without one of the last 30 days."""

    facility_id: str = Field(max_length=64)
    certificate: str = Field(min_length=6, max_length=64, description="Number of the query certificate 查询证明编号")
    clear: bool = Field(description="Whether it shows no earlier registration over these goods")


@RecordCertificate.command(
    "tradefinance.record_certificate",
    http="POST /facilities/{facility_id}/certificate",
    scope="tradefinance:lend",
    title=("Record query certificate", "登记查询证明"),
    relation=creditor_of("facility_id"),
    example={"facility_id": "fac_0", "certificate": "QC-2026-000001", "clear": True},
)
def record_certificate(ctx: Context, request: RecordCertificate) -> FacilityView:
    """One that is not clear takes the earlier one away."""
    facility = facilities(ctx).lock(request.facility_id)
    if not request.clear:
        changed = facilities(ctx).change(facility, certificate="", certified_at=0)
        ctx.notices.send(
            facility.borrower,
            "registry",
            ("Earlier registration found", "发现在先登记"),
            (
                f"Query {request.certificate} shows an earlier interest over your goods; nothing is lent on them.",
                f"查询证明 {request.certificate} 显示您的货物存在在先权利，暂不放款。",
            ),
            facility.id,
        )
        return facility_view(ctx, changed)
    return facility_view(
        ctx, facilities(ctx).change(facility, certificate=request.certificate, certified_at=ctx.now_us)
    )


class RegisterInterest(Request[FacilityView]):
    """Record the registration of the security interest (动产融资统一登记) and its term."""

    facility_id: str = Field(max_length=64)
    registration: str = Field(min_length=6, max_length=64, description="Registration number 登记编号")
    term_days: int = Field(365, ge=30, le=36_500)


@RegisterInterest.command(
    "tradefinance.register_interest",
    http="POST /facilities/{facility_id}/registration",
    scope="tradefinance:lend",
    title=("Record registration", "登记担保权益"),
    relation=creditor_of("facility_id"),
    example={"facility_id": "fac_0", "registration": "REG-2026-000001"},
)
def register_interest(ctx: Context, request: RegisterInterest) -> FacilityView:
    """A reminder is due thirty days before it lapses, or half-way for a short term."""
    facility = facilities(ctx).lock(request.facility_id)
    until_us = ctx.now_us + request.term_days * DAY_US
    changed = facilities(ctx).change(facility, registration=request.registration, registered_until=until_us)
    _remind(ctx, changed, request.term_days)
    return facility_view(ctx, changed)


class LapseReminded(Answer):
    """The facility whose registration lapses."""

    id: str


class RemindOfLapse(Request[LapseReminded]):
    """Warn the lender that a registration lapses; run by a timer."""

    facility_id: str = Field(max_length=64)
    registration: str = Field(max_length=64)


@RemindOfLapse.command(
    "tradefinance.remind_of_lapse",
    http="POST /facilities/{facility_id}/lapse-reminder",
    scope="tradefinance:operate",
    title=("Warn of lapse", "登记到期提醒"),
    example={"facility_id": "fac_0", "registration": "REG-2026-000001"},
)
def remind_of_lapse(ctx: Context, request: RemindOfLapse) -> LapseReminded:
    """Nothing when it was renewed meanwhile."""
    facility = facilities(ctx).get(request.facility_id)
    if facility.registration == request.registration and facility.state == "active":
        ctx.notices.send(
            facility.lender,
            "registry",
            ("Registration lapses soon", "登记即将到期"),
            (
                f"Registration {facility.registration} of {facility.id} lapses soon: renew it.",
                f"{facility.id} 的登记 {facility.registration} 即将到期，请续期。",
            ),
            facility.id,
        )
    return LapseReminded(id=facility.id)


def _remind(ctx: Context, facility: Facility, term_days: int) -> None:
    from datetime import timedelta

    ctx.timers.at(
        ctx.now + timedelta(days=term_days - 30 if term_days > 60 else term_days / 2),
        RemindOfLapse(facility_id=facility.id, registration=facility.registration),
        key=f"lapse:{facility.id}:{facility.registration}",
    )
