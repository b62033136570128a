"""What notices bring to the registry."""

from entrepot.kernel.operations.system import System

manifest = System(
    name="notices",
    title=("Notices", "通知"),
    summary="Messages to parties",
    operations=("entrepot.kernel.notices.operations",),
    tables=("entrepot.kernel.notices.tables",),
)
