"""Commands and queries of the vault: what a person may ask about their own data."""

from datetime import datetime
from typing import Any, Literal

from pydantic import AwareDatetime, Field

from entrepot.kernel.database.schema import from_us, to_us
from entrepot.kernel.operations import Answer, Context, Personal, RelationRule, Request
from entrepot.kernel.vault.rules import PURPOSE
from entrepot.kernel.vault.service import Consent

PersonId = Field(min_length=1, max_length=64, examples=["per_0"])
Purpose = Field(max_length=48, pattern=f"^{PURPOSE.pattern}$", examples=["face-payment"])
CategoryField = Literal["", "face", "voice", "identity"]


def own_data(field: str) -> RelationRule:
    """The field names the actor as a person, unless the actor may act for people (a privacy officer)."""

    def check(ctx: Context, request: Any) -> bool:
        person = getattr(request, field)
        return person in {ctx.actor.id, ctx.actor.party} or "vault:act_for" in ctx.actor.scopes

    return RelationRule(field, (), check, own_party=True)


class ConsentView(Answer):
    """A consent, standing or ended."""

    id: str
    person_id: str
    purpose: str
    category: str = Field(description="Empty for ordinary fields, else face, voice or identity papers")
    document: str = Field(description="SHA-256 of the text that was agreed to, if it is kept")
    given_at: datetime
    withdrawn_at: datetime | None
    valid_until: datetime | None
    active: bool


class ConsentList(Answer):
    """A person's consents."""

    consents: list[ConsentView]


class Withdrawn(Answer):
    """What ended with a consent."""

    person_id: str
    purpose: str
    deleted_fields: int


class KeptField(Answer):
    """That a field is kept, without its value."""

    field: str
    purpose: str
    commitment: str
    stored_at: datetime
    retention_until: datetime | None


class KeptFields(Answer):
    """What is kept of a person."""

    fields: list[KeptField]


class ExportedData(Answer):
    """A person's data: fields with their values."""

    person_id: str
    count: int
    fields: Personal[list[dict[str, str]]] = Field(default_factory=list, description="field, purpose, value")


class Erased(Answer):
    """A person's data is gone."""

    person_id: str
    erased_fields: int


class DroppedFields(Answer):
    """How many fields were deleted because their retention had ended."""

    dropped: int


class GiveConsent(Request[ConsentView]):
    """Consent to a purpose; face, voice and identity papers each need a consent of their own."""

    person_id: str = PersonId
    purpose: str = Purpose
    category: CategoryField = ""
    document: str = Field("", pattern=r"^([0-9a-f]{64})?$", description="SHA-256 of the text agreed to")
    valid_until: AwareDatetime | None = None


class WithdrawConsent(Request[Withdrawn]):
    """Withdraw a consent; what rested on it is deleted."""

    person_id: str = PersonId
    purpose: str = Purpose
    category: CategoryField = ""


class ListConsents(Request[ConsentList]):
    """List a person's consents."""

    person_id: str = PersonId


class ListFields(Request[KeptFields]):
    """List which personal fields are kept, for which purpose, without their values."""

    person_id: str = PersonId


class ExportData(Request[ExportedData]):
    """Give a person a copy of all that is kept of them."""

    person_id: str = PersonId


class ErasePerson(Request[Erased]):
    """Erase a person: the key is destroyed, the chain still verifies. It cannot be undone."""

    person_id: str = PersonId


class DropExpired(Request[DroppedFields]):
    """Delete the fields whose retention has ended."""

    limit: int = Field(1000, ge=1, le=10_000)


@GiveConsent.command(
    "vault.consent",
    http="POST /people/{person_id}/consents",
    scope="vault:own",
    title=("Give consent", "同意处理个人信息"),
    relation=own_data("person_id"),
    subject="person_id",
    example={"person_id": "per_0", "purpose": "face-payment", "category": "face"},
)
def give_consent(ctx: Context, request: GiveConsent) -> ConsentView:
    """A consent that stands is answered as it is."""
    until = to_us(request.valid_until) if request.valid_until else 0
    consent = ctx.vault.give_consent(
        request.person_id, request.purpose, request.category, document=request.document, valid_until_us=until
    )
    return _view(consent, ctx.now_us)


@WithdrawConsent.command(
    "vault.withdraw",
    http="POST /people/{person_id}/consents/withdraw",
    scope="vault:own",
    title=("Withdraw consent", "撤回同意"),
    confirm=True,
    relation=own_data("person_id"),
    subject="person_id",
    example={"person_id": "per_0", "purpose": "face-payment", "category": "face"},
)
def withdraw_consent(ctx: Context, request: WithdrawConsent) -> Withdrawn:
    """As easy as giving it (article 15)."""
    deleted = ctx.vault.withdraw_consent(request.person_id, request.purpose, request.category)
    return Withdrawn(person_id=request.person_id, purpose=request.purpose, deleted_fields=deleted)


@ListConsents.query(
    "vault.consents",
    http="GET /people/{person_id}/consents",
    scope="vault:own",
    title=("Consents", "同意记录"),
    relation=own_data("person_id"),
    example={"person_id": "per_0"},
)
def list_consents(ctx: Context, request: ListConsents) -> ConsentList:
    """The latest for each purpose and category."""
    return ConsentList(consents=[_view(consent, ctx.now_us) for consent in ctx.vault.consents(request.person_id)])


@ListFields.query(
    "vault.fields",
    http="GET /people/{person_id}/fields",
    scope="vault:own",
    title=("Personal data kept", "已保存的个人信息"),
    relation=own_data("person_id"),
    example={"person_id": "per_0"},
)
def list_fields(ctx: Context, request: ListFields) -> KeptFields:
    """Values are shown only by `vault.export`, which leaves an event."""
    return KeptFields(
        fields=[
            KeptField(
                field=kept.field,
                purpose=kept.purpose,
                commitment=kept.commitment,
                stored_at=from_us(kept.stored_us),
                retention_until=from_us(kept.retention_until_us) if kept.retention_until_us else None,
            )
            for kept in ctx.vault.fields(request.person_id)
        ]
    )


@ExportData.command(
    "vault.export",
    http="POST /people/{person_id}/export",
    scope="vault:own",
    title=("Export personal data", "导出个人信息"),
    relation=own_data("person_id"),
    subject="person_id",
    rate=60,
    example={"person_id": "per_0"},
)
def export_data(ctx: Context, request: ExportData) -> ExportedData:
    """The values go to the caller only: neither the event nor the stored answer holds them."""
    values = ctx.vault.export(request.person_id)
    return ExportedData(
        person_id=request.person_id,
        count=len(values),
        fields=[{"field": kept.field, "purpose": kept.purpose, "value": value} for kept, value in values],
    )


@ErasePerson.command(
    "vault.erase",
    http="POST /people/{person_id}/erase",
    scope="vault:own",
    title=("Erase personal data", "删除个人信息"),
    confirm=True,
    relation=own_data("person_id"),
    subject="person_id",
    rate=60,
    example={"person_id": "per_0"},
)
def erase_person(ctx: Context, request: ErasePerson) -> Erased:
    """See `Vault.erase`; the addresses that the person's notices went to are destroyed with it."""
    ctx.addresses.forget(request.person_id)
    return Erased(person_id=request.person_id, erased_fields=ctx.vault.erase(request.person_id))


@DropExpired.command(
    "vault.drop_expired",
    http="POST /retention",
    scope="vault:act_for",
    title=("Delete expired data", "删除到期个人信息"),
    example={"limit": 1000},
)
def drop_expired(ctx: Context, request: DropExpired) -> DroppedFields:
    """Meant for a daily timer."""
    expired = ctx.vault.expired(request.limit)
    for kept in expired:
        ctx.vault.drop(kept.person, kept.field, kept.purpose)
    return DroppedFields(dropped=len(expired))


def _view(consent: Consent, now_us: int) -> ConsentView:
    return ConsentView(
        id=consent.id,
        person_id=consent.person,
        purpose=consent.purpose,
        category=consent.category,
        document=consent.document,
        given_at=from_us(consent.given_us),
        withdrawn_at=from_us(consent.withdrawn_us) if consent.withdrawn_us else None,
        valid_until=from_us(consent.valid_until_us) if consent.valid_until_us else None,
        active=consent.active(now_us),
    )
