"""The leases of workers; DBOS keeps its own tables beside."""

from sqlalchemy import BigInteger, Column, Table, Text

from entrepot.kernel.database import metadata

workflow_workers = Table(
    "workflow_workers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("heartbeat_at", BigInteger, nullable=False),
)
