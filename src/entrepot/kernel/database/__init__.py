"""The database: one engine per dialect, one unit of work, rows written set-wise."""

from entrepot.kernel.database.engine import Database, open_database
from entrepot.kernel.database.schema import Base, Instant, metadata
from entrepot.kernel.database.scope import Scope
from entrepot.kernel.database.unit_of_work import RetryAlone, UnitOfWork

__all__ = ["Base", "Database", "Instant", "RetryAlone", "Scope", "UnitOfWork", "metadata", "open_database"]
