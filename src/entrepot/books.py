"""Verifying everything that is sealed: chain, events, ledger, keys, heads, vault and documents."""

import contextlib

from entrepot.app import build_registry
from entrepot.kernel.database import open_database
from entrepot.kernel.documents import Store, verify_documents
from entrepot.kernel.events import verify_chain
from entrepot.kernel.ledger import verify as verify_ledger
from entrepot.kernel.signing import LocalKey, verify_heads, verify_keys
from entrepot.kernel.vault import verify_vault
from entrepot.settings import Settings


def verify_books(settings: Settings, tenant: str) -> list[tuple[str, str]]:
    """Every difference of a tenant's books as (where, what); none when they hold."""
    build_registry()
    found: list[tuple[str, str]] = []
    with contextlib.closing(open_database(settings.resolved_database_url)) as database:
        found += [(broken.where, broken.what) for broken in verify_chain(database, tenant)]
        found += [
            (f"{d.table} {d.row}", f"{d.column} is {d.stored}, {d.computed} by the rest of the ledger")
            for d in verify_ledger(database, tenant)
        ]
        operator = LocalKey("ed25519", settings.secret("operator-ed25519"))
        heads = settings.data_dir / "heads.jsonl"
        if heads.exists():
            found += [
                (broken.where, broken.what)
                for broken in verify_heads(database, heads, {operator.public})
                if broken.tenant == tenant
            ]
        with database.reader() as uow:
            found += verify_keys(uow, tenant)
            found += list(verify_vault(uow, tenant))
            found += list(verify_documents(uow, tenant, Store(settings.data_dir / "documents")))
    return found
