"""Bulk-commodity custody: tanks seen by sensors, goods on the ledger, electronic warehouse receipts."""

from entrepot.kernel.operations.system import System

manifest = System(
    name="warehousing",
    title=("Warehousing", "仓储监管"),
    summary="Tanks and goods seen by sensors; electronic warehouse receipts on the ledger",
    operations=(
        "entrepot.systems.warehousing.operations",
        "entrepot.systems.warehousing.receipts",
        "entrepot.systems.warehousing.reconciliation",
        "entrepot.systems.warehousing.queries",
    ),
    tables=("entrepot.systems.warehousing.model",),
    pages="entrepot.systems.warehousing.pages",
    books="entrepot.systems.warehousing.books",
    roles={
        "custodian": (
            "warehousing:read",
            "warehousing:keep",
            "casework:read",
            "casework:act",
            "tradefinance:read",
            "tradefinance:sign",
            "reference:read",
            "things:read",
            "ledger:read",
            "parties:read",
            "documents:write",
            "documents:read",
        ),
        "trader": ("warehousing:read", "warehousing:own", "things:read"),
        "bank_clerk": ("warehousing:read", "things:read"),
        "regulator": ("warehousing:read", "warehousing:supervise", "things:read"),
    },
)
