"""A system of tests only: a command that writes an event about a subject, and one that reveals a personal field."""

from pydantic import Field

from entrepot.kernel.operations import Answer, Context, Personal, Request


class Noted(Answer):
    id: str


class Note(Request[Noted]):
    """Write something about a subject."""

    subject: str
    text: str = ""
    document: str = ""


class StoreField(Request[Noted]):
    """Keep a personal field."""

    person_id: str
    field: str
    purpose: str
    value: Personal[str]


class Revealed(Answer):
    value: Personal[str] = Field("")


class Reveal(Request[Revealed]):
    """Read a personal field."""

    person_id: str
    field: str
    purpose: str


@Note.command("probe.note", http="POST /notes", scope="probe:act", title=("Note", "记录"), subject="subject")
def note(ctx: Context, request: Note) -> Noted:
    return Noted(id=ctx.new_id("nte"))


@StoreField.command("probe.store", http="POST /fields", scope="probe:act", title=("Store", "存"), subject="person_id")
def store(ctx: Context, request: StoreField) -> Noted:
    return Noted(id=ctx.vault.store(request.person_id, request.field, request.value, request.purpose))


@Reveal.command("probe.reveal", http="POST /reveal", scope="probe:act", title=("Reveal", "看"), subject="person_id")
def reveal(ctx: Context, request: Reveal) -> Revealed:
    return Revealed(value=ctx.vault.reveal(request.person_id, request.field, request.purpose))
