"""Operations on the addresses to which notices also go: the own ones, and those of the party one acts for."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from entrepot.kernel.database.schema import from_us
from entrepot.kernel.notices.addresses import Address, Addresses
from entrepot.kernel.operations import (
    Answer,
    Conflict,
    Context,
    Invalid,
    NotFound,
    Personal,
    RelationRule,
    Request,
    Secret,
)

ADDRESS_ID = Field(max_length=64, examples=["adr_0"])
Kind = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,47}$")]
State = Literal["unconfirmed", "active", "ended"]


def _oneself(field: str) -> RelationRule:
    """The field names the actor, or the party that the actor acts for."""

    def check(ctx: Context, request: Any) -> bool:
        return getattr(request, field) in {ctx.actor.id, ctx.actor.party} - {""}

    return RelationRule(field, (), check, own_party=True)


def _holder(field: str) -> RelationRule:
    """The address is the actor's, or that of the party that the actor acts for."""

    def check(ctx: Context, request: Any) -> bool:
        found = ctx.addresses.get(getattr(request, field))
        return found is not None and found.party in {ctx.actor.id, ctx.actor.party} - {""}

    return RelationRule(field, ("holder",), check)


class AddressView(Answer):
    """An address to which notices also go."""

    id: str
    party: str
    channel: str
    address: Personal[str] = Field("", description="Empty once it has ended")
    kinds: list[str] = Field(description="The kinds of notice that go there; none stand for all")
    state: State
    made_by: str
    made_at: datetime
    failures: int = Field(description="Attempts that failed since the last delivery")
    problem: str = Field(description="What went wrong last, empty when nothing did")
    resting_until: datetime | None = Field(description="After several failures nothing is tried before this time")
    ended_at: datetime | None
    waiting: int = Field(0, description="Messages that wait for delivery")
    delivered_at: datetime | None = Field(None, description="When the last message was delivered")


class ChannelView(Answer):
    """A channel; `missing` is the setting that the operator must set before it can be used."""

    channel: str
    missing: str


class AddressList(Answer):
    """Addresses, the oldest first, and the channels there are."""

    addresses: list[AddressView]
    channels: list[ChannelView]


class Registered(Answer):
    """A new address; a webhook's `secret` is shown this once (a repeated command answers without it)."""

    id: str
    channel: str
    state: State
    secret: Secret[str] = Field("", description="Signs every message: whsec_ and base64, see standardwebhooks.com")


class Tested(Answer):
    """The test notice."""

    id: str
    notice_id: str


class ListAddresses(Request[AddressList]):
    """List the addresses to which notices to you and to the party you act for also go."""

    include_ended: bool = False


@ListAddresses.query(
    "notices.addresses", http="GET /addresses", scope="parties:self", title=("Notice addresses", "通知地址")
)
def list_addresses(ctx: Context, request: ListAddresses) -> AddressList:
    """Of the own party and person only; no secret is among them."""
    found = ctx.addresses.of({ctx.actor.party, ctx.actor.id}, ended=request.include_ended)
    return AddressList(
        addresses=[_view(ctx.addresses, each) for each in found],
        channels=[ChannelView(channel=name, missing=offer.missing) for name, offer in ctx.addresses.offers.items()],
    )


class RegisterAddress(Request[Registered]):
    """Have the notices to you, or to the party you act for, also sent to a mail address or webhook."""

    party: str = Field(min_length=1, max_length=64, description="Your organisation, or yourself")
    channel: Literal["mail", "webhook"]
    address: Personal[str] = Field(min_length=3, max_length=2_000, description="name@domain, or an https URL")
    kinds: list[Kind] = Field(default=[], max_length=20, description="Only these kinds of notice; none: every kind")


@RegisterAddress.command(
    "notices.register_address",
    http="POST /addresses",
    scope="parties:self",
    title=("Register notice address", "登记通知地址"),
    phrases=("send my notices by mail", "把通知发到邮箱"),
    relation=_oneself("party"),
    subject="id",
    rate=30,
    example={"party": "org_0", "channel": "webhook", "address": "https://hooks.example.org/entrepot"},
)
def register_address(ctx: Context, request: RegisterAddress) -> Registered:
    """A mail address waits for the code that is sent to it."""
    row, secret = ctx.addresses.register(request.party, request.channel, request.address, tuple(request.kinds))
    return Registered(id=row.id, channel=row.channel, state=_state(row), secret=secret)


class ConfirmAddress(Request[AddressView]):
    """Confirm a mail address by the code that was sent to it; before that, nothing else is sent there."""

    address_id: str = ADDRESS_ID
    code: Secret[str] = Field(min_length=1, max_length=16)


@ConfirmAddress.command(
    "notices.confirm_address",
    http="POST /addresses/{address_id}/confirmation",
    scope="parties:self",
    title=("Confirm notice address", "确认通知地址"),
    relation=_holder("address_id"),
    rate=30,
    example={"address_id": "adr_0", "code": "12345678"},
)
def confirm_address(ctx: Context, request: ConfirmAddress) -> AddressView:
    """Wrong codes are counted in the event log, which keeps refusals too."""
    row = ctx.addresses.get(request.address_id)
    if row is None:
        raise NotFound("notice/unknown-address", f"There is no address {request.address_id}.")
    wrong = ctx.uow.fetch(
        "SELECT COUNT(*) FROM events WHERE tenant = %s AND subject = %s AND type = 'notices.confirm_address' "
        "AND status = %s AND at >= %s",
        (ctx.tenant, row.id, Invalid.status, row.code_us),
    )[0][0]
    return _view(ctx.addresses, ctx.addresses.confirm(row.id, request.code, int(wrong)))


class SendCode(Request[AddressView]):
    """Have another code sent to a mail address that is not confirmed; the earlier code counts no more."""

    address_id: str = ADDRESS_ID


@SendCode.command(
    "notices.send_code",
    http="POST /addresses/{address_id}/code",
    scope="parties:self",
    title=("Send another code", "重新发送验证码"),
    relation=_holder("address_id"),
    rate=10,
    example={"address_id": "adr_0"},
)
def send_code(ctx: Context, request: SendCode) -> AddressView:
    """A few for each address, and a few a day for each party."""
    return _view(ctx.addresses, ctx.addresses.send_code(request.address_id))


class EndAddress(Request[AddressView]):
    """End an address: nothing more is sent there, and what it was is destroyed."""

    address_id: str = ADDRESS_ID


@EndAddress.command(
    "notices.end_address",
    http="POST /addresses/{address_id}/end",
    scope="parties:self",
    title=("End notice address", "停用通知地址"),
    confirm=True,
    relation=_holder("address_id"),
    example={"address_id": "adr_0"},
)
def end_address(ctx: Context, request: EndAddress) -> AddressView:
    """What waits for it is given up; the inbox keeps every notice."""
    return _view(ctx.addresses, ctx.addresses.end(request.address_id))


class SendTest(Request[Tested]):
    """Send a test notice to one address."""

    address_id: str = ADDRESS_ID


@SendTest.command(
    "notices.test_address",
    http="POST /addresses/{address_id}/test",
    scope="parties:self",
    title=("Send test notice", "发送测试通知"),
    relation=_holder("address_id"),
    subject="address_id",
    rate=10,
    example={"address_id": "adr_0"},
)
def send_test(ctx: Context, request: SendTest) -> Tested:
    """It lies in the inbox too, as every notice does."""
    row = ctx.addresses.get(request.address_id)
    if row is None or row.state != "active":
        raise Conflict("notice/not-active", f"The address {request.address_id} is not active: nothing is sent there.")
    notice = ctx.notices.send(
        row.party, "test", ("Test notice", "测试通知"),
        (f"{ctx.actor.id} asked for it; nothing needs to be done.", f"由 {ctx.actor.id} 发起，无需处理。"), row.id,
        address=row.id,
    )  # fmt: skip
    return Tested(id=row.id, notice_id=notice)


class RecordGone(Request[Registered]):
    """End an address whose receiver said that it wants nothing more, and tell the party."""

    address_id: str = ADDRESS_ID
    problem: str = Field(max_length=300)


@RecordGone.command(
    "notices.address_gone",
    http="POST /addresses/{address_id}/gone",
    scope="notices:deliver",
    title=("Address is gone", "通知地址已失效"),
    example={"address_id": "adr_0", "problem": "the receiver answered 410"},
)
def record_gone(ctx: Context, request: RecordGone) -> Registered:
    """For the delivery of notices alone."""
    before = ctx.addresses.get(request.address_id)
    row = ctx.addresses.end(request.address_id, request.problem)
    if before is not None and before.state != "ended":
        ctx.notices.send(
            row.party, "address", ("A notice address was ended", "通知地址已停用"),
            (f"The receiver wants no more notices: {request.problem}.", f"接收方已拒收通知：{request.problem}。"),
            row.id,
        )  # fmt: skip
    return Registered(id=row.id, channel=row.channel, state=_state(row))


def _view(addresses: Addresses, row: Address) -> AddressView:
    waiting, delivered_us = addresses.traffic(row.id)
    return AddressView(
        id=row.id,
        party=row.party,
        channel=row.channel,
        address=addresses.content(row).address,
        kinds=row.kinds.split(),
        state=_state(row),
        made_by=row.made_by,
        made_at=from_us(row.made_us),
        failures=row.failures,
        problem=row.problem,
        resting_until=from_us(row.resting_until_us) if row.resting_until_us else None,
        ended_at=from_us(row.ended_us) if row.ended_us else None,
        waiting=waiting,
        delivered_at=from_us(delivered_us) if delivered_us else None,
    )


def _state(row: Address) -> State:
    assert row.state in ("unconfirmed", "active", "ended"), row.state
    return row.state  # type: ignore[return-value]
