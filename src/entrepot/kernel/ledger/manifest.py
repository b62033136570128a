"""What the ledger brings to the registry."""

from entrepot.kernel.operations.system import System

manifest = System(
    name="ledger",
    title=("Ledger", "账本"),
    summary="Whatever can be owned, in double entry",
    operations=("entrepot.kernel.ledger.operations",),
    tables=("entrepot.kernel.ledger.tables",),
    roles={"ledger_operator": ("ledger:post", "ledger:read_all")},
)
