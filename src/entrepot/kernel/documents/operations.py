"""Commands and queries of documents. Larger files than a request takes come in through the service."""

import base64
import binascii
from datetime import datetime
from typing import Any

from pydantic import Field

from entrepot.kernel.database.schema import from_us
from entrepot.kernel.documents.media import MEDIA_TYPES
from entrepot.kernel.documents.service import Document
from entrepot.kernel.operations import (
    Answer,
    Context,
    Invalid,
    NotFound,
    Personal,
    RelationRule,
    Request,
    related,
)

# Who may see an object may read its papers.
READERS = ("owner", "custodian", "creditor", "debtor", "insurer", "supervisor", "reader")
_KINDS = "|".join(MEDIA_TYPES)


def may_read(ctx: Context, digest: str) -> bool:
    """Whether the actor's party put the document, or stands in a relation to something that it is about."""
    subjects = [digest, *ctx.documents.subjects(digest)]
    party = ctx.actor.party
    return any(ctx.relations.has(subject, relation, party) for subject in subjects for relation in READERS)


def reader_of(field: str) -> RelationRule:
    """The actor's party may read the document whose digest is in `field`."""

    def check(ctx: Context, request: Any) -> bool:
        return may_read(ctx, str(getattr(request, field)))

    return RelationRule(field, READERS, check)


class DocumentView(Answer):
    """A document's record."""

    digest: str = Field(description="SHA-256 of the content, hexadecimal")
    media_type: str
    name: str
    bytes: int
    put_at: datetime


class DocumentContent(DocumentView):
    """A document with its content."""

    content: Personal[str] = Field("", description="The content in base64")


class DocumentList(Answer):
    """Documents about an object."""

    documents: list[DocumentView]


class UploadDocument(Request[DocumentView]):
    """Keep a document; the same content again is the same document."""

    content: Personal[str] = Field(min_length=4, description="The content in base64 (RFC 4648 section 4)")
    media_type: str = Field(pattern=f"^({_KINDS})$", examples=["application/pdf"])
    name: str = Field(min_length=1, max_length=200, examples=["receipt.pdf"])
    about: str = Field("", max_length=64, description="The object that it is about; its parties may read it")


class ReadDocument(Request[DocumentContent]):
    """Read a document's content."""

    digest: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the content, hexadecimal")


class ListDocuments(Request[DocumentList]):
    """List the documents about an object."""

    subject: str = Field(min_length=1, max_length=64)


@UploadDocument.command(
    "documents.upload",
    http="POST /files",
    scope="documents:write",
    title=("Upload document", "上传文件"),
    phrases=("upload a document",),
    relation=related("about", *READERS, optional=True),
    subject="digest",
    example={"content": "aGVsbG8K", "media_type": "text/plain", "name": "hello.txt"},
)
def upload_document(ctx: Context, request: UploadDocument) -> DocumentView:
    """The uploading party owns the document; the event names its digest, never its content."""
    try:
        content = base64.b64decode(request.content, validate=True)
    except (binascii.Error, ValueError):
        raise Invalid("documents/not-base64", "The content is not base64.") from None
    digest = ctx.documents.put(content, request.media_type, request.name, about=request.about)
    ctx.relations.add(digest, "owner", ctx.actor.party)
    return DocumentView(**_view(ctx.documents.record(digest)))


@ReadDocument.query(
    "documents.read",
    http="GET /files/{digest}",
    scope="documents:read",
    title=("Read document", "查看文件"),
    relation=reader_of("digest"),
    example={"digest": "0" * 64},
)
def read_document(ctx: Context, request: ReadDocument) -> DocumentContent:
    """The content is checked against its digest before it is shown."""
    record = ctx.documents.record(request.digest)
    content = ctx.documents.get(request.digest)
    return DocumentContent(**_view(record), content=base64.b64encode(content).decode())


@ListDocuments.query(
    "documents.list",
    http="GET /about/{subject}",
    scope="documents:read",
    title=("Documents of an object", "相关文件"),
    relation=related("subject", *READERS),
    example={"subject": "rcp_0"},
)
def list_documents(ctx: Context, request: ListDocuments) -> DocumentList:
    """In order of their arrival."""
    return DocumentList(documents=[DocumentView(**_view(found)) for found in ctx.documents.about(request.subject)])


def readable(ctx: Context, digest: str) -> tuple[str, str, bytes] | None:
    """Media type, name and content of a document that the actor may read; None for any other."""
    try:
        record = ctx.documents.record(digest)
    except NotFound:
        return None
    if ctx.actor.kind != "system" and not may_read(ctx, digest):
        return None
    return record.media_type, record.name, ctx.documents.get(digest)


def _view(record: Document) -> dict[str, Any]:
    return {
        "digest": record.digest,
        "media_type": record.media_type,
        "name": record.name,
        "bytes": record.bytes,
        "put_at": from_us(record.put_us),
    }
