"""Verifying everything that is sealed: chain, events, ledger, keys, heads, vault and documents."""

import contextlib
from collections.abc import Callable, Iterable

from entrepot.app import build_registry
from entrepot.kernel.database import Database, UnitOfWork, open_database
from entrepot.kernel.database.stored_types import misstored
from entrepot.kernel.documents import Store, verify_documents
from entrepot.kernel.events import verify_chain
from entrepot.kernel.ledger import verify as verify_ledger
from entrepot.kernel.signing import LocalKey, verify_heads, verify_keys
from entrepot.kernel.vault import verify_vault
from entrepot.settings import Settings

Difference = tuple[str, str]


def verify_books(settings: Settings, tenant: str) -> list[Difference]:
    """Every difference of a tenant's books as (where, what); none when they hold."""
    build_registry()
    with contextlib.closing(open_database(settings.resolved_database_url)) as database:
        with database.reader() as uow:
            found = list(misstored(uow, tenant))
        for part, check in _checks(database, settings, tenant).items():
            try:
                found += check()
            except Exception as error:  # noqa: BLE001 - what cannot even be read does not hold
                found.append((part, f"cannot be recomputed: {type(error).__name__}: {str(error)[:200]}"))
    return found


def _checks(database: Database, settings: Settings, tenant: str) -> dict[str, Callable[[], list[Difference]]]:
    def read(check: Callable[[UnitOfWork], Iterable[Difference]]) -> list[Difference]:
        with database.reader() as uow:
            return list(check(uow))

    return {
        "chain": lambda: [(broken.where, broken.what) for broken in verify_chain(database, tenant)],
        "ledger": lambda: [
            (f"{d.table} {d.row}", f"{d.column} is {d.stored}, {d.computed} by the rest of the ledger")
            for d in verify_ledger(database, tenant)
        ],
        "heads": lambda: _heads(database, settings, tenant),
        "keys": lambda: read(lambda uow: verify_keys(uow, tenant)),
        "vault": lambda: read(lambda uow: verify_vault(uow, tenant)),
        "documents": lambda: read(lambda uow: verify_documents(uow, tenant, Store(settings.data_dir / "documents"))),
    }


def _heads(database: Database, settings: Settings, tenant: str) -> list[Difference]:
    heads = settings.data_dir / "heads.jsonl"
    if not heads.exists():
        return []
    operator = LocalKey("ed25519", settings.secret("operator-ed25519"))
    return [
        (broken.where, broken.what)
        for broken in verify_heads(database, heads, {operator.public})
        if broken.tenant == tenant
    ]
