"""Tables of documents."""

from sqlalchemy import BigInteger, Column, Index, Table, Text

from entrepot.kernel.database import metadata

documents = Table(
    "documents",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("media_type", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("put_by", Text, nullable=False),
    Column("put_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Which objects a document is about: whoever may see the object may read the document.
document_links = Table(
    "document_links",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("linked_at", BigInteger, nullable=False),
    Index("ix_document_links_subject", "tenant", "subject"),
    sqlite_with_rowid=False,
)
