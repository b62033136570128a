"""Documents: what they are in the database, their content in a folder."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from entrepot.kernel.database import Scope, UnitOfWork
from entrepot.kernel.documents.media import MEDIA_TYPES, looks_like
from entrepot.kernel.documents.store import Store
from entrepot.kernel.documents.tables import document_links, documents
from entrepot.kernel.operations.errors import Conflict, Invalid, NotFound, TooLarge, Unavailable

MAX_BYTES = 32 * 1024 * 1024
_DIGEST = re.compile(r"[0-9a-f]{64}")
_COLUMNS = "digest, media_type, name, bytes, put_by, put_at"


@dataclass(frozen=True, slots=True)
class Document:
    """A document's record; `digest` is the SHA-256 of its content in hexadecimal."""

    digest: str
    media_type: str
    name: str
    bytes: int
    put_by: str
    put_us: int


class Documents:
    """Documents of one tenant. `store` is None where the server has no folder for them."""

    def __init__(self, scope: Scope, store: Store | None = None, max_bytes: int = MAX_BYTES) -> None:
        self._scope = scope
        self._uow = scope.uow
        self._store = store
        self._max_bytes = max_bytes

    def put(self, content: bytes, media_type: str, name: str, *, about: str = "") -> str:
        """Keep a document; its digest. The same content again is the same document and keeps its first name.

        `about` links it to an object, whose parties may then read it. The file is on the disk before the operation
        commits; a refused operation leaves a file that nothing refers to, never a record without a file.
        Raises Invalid for a content that is not its media type, TooLarge, Unavailable.
        """
        if len(content) > self._max_bytes:
            raise TooLarge("documents/too-large", f"A document has at most {self._max_bytes} bytes.")
        if media_type not in MEDIA_TYPES:
            raise Invalid("documents/media-type", f"Documents are one of {', '.join(MEDIA_TYPES)}.")
        if not content or not looks_like(content, media_type):
            raise Invalid("documents/not-its-type", f"The content is no {media_type}.")
        if not name.strip() or len(name) > 200 or not name.isprintable():
            raise Invalid("documents/name", "A name has 1 to 200 printable characters.")
        digest = self._open_store().put(content)
        if self._uow.row(documents, (self._scope.tenant, digest)) is None:
            self._uow.upsert(
                documents,
                (self._scope.tenant, digest, media_type, name.strip(), len(content), self._scope.actor_id,
                 self._scope.now_us),
            )  # fmt: skip
        if about:
            self.link(digest, about)
        return digest

    def link(self, digest: str, subject: str) -> None:
        """Say that the document is about an object. Raises NotFound."""
        self.record(digest)
        self._uow.upsert(document_links, (self._scope.tenant, digest, subject, self._scope.now_us))

    def record(self, digest: str) -> Document:
        """What is known of a document. Raises NotFound."""
        row = self._uow.row(documents, (self._scope.tenant, digest)) if _DIGEST.fullmatch(digest) else None
        if row is None:
            raise NotFound("documents/unknown", f"There is no document {digest[:80]!r}.")
        return Document(*row[1:])

    def get(self, digest: str) -> bytes:
        """The content. Raises NotFound, and Conflict when the file is missing or was changed."""
        self.record(digest)
        content = self._open_store().get(digest)
        if content is None:
            raise Conflict("documents/damaged", f"The file of document {digest} is missing or was changed.")
        return content

    def about(self, subject: str) -> list[Document]:
        """The documents about an object, in order of their arrival."""
        columns = ", ".join(f"d.{name}" for name in _COLUMNS.split(", "))
        rows = self._uow.fetch(
            f"SELECT {columns} FROM document_links l JOIN documents d ON d.tenant = l.tenant AND d.digest = l.digest "
            "WHERE l.tenant = %s AND l.subject = %s ORDER BY l.linked_at, d.digest",
            (self._scope.tenant, subject),
        )
        return [Document(*row) for row in rows]

    def subjects(self, digest: str) -> list[str]:
        """The objects that a document is about."""
        rows = self._uow.fetch(
            "SELECT subject FROM document_links WHERE tenant = %s AND digest = %s ORDER BY subject",
            (self._scope.tenant, digest),
        )
        return [row[0] for row in rows]

    def _open_store(self) -> Store:
        if self._store is None:
            raise Unavailable("documents/no-folder", "This server has no folder for documents.")
        return self._store


def verify_documents(uow: UnitOfWork, tenant: str, store: Store) -> Iterable[tuple[str, str]]:
    """Every document whose file is missing, changed, or of another length than recorded: (where, what)."""
    after = ""
    while rows := uow.fetch(
        "SELECT digest, bytes FROM documents WHERE tenant = %s AND digest > %s ORDER BY digest LIMIT 500",
        (tenant, after),
    ):
        for digest, size in rows:
            content = store.get(digest) if _DIGEST.fullmatch(digest) else None
            if content is None:
                yield f"documents {digest}", "its file is missing or was changed"
            elif len(content) != size:
                yield f"documents {digest}", "its length is not the recorded one"
        after = rows[-1][0]
