"""What notices bring to the registry."""

from entrepot.kernel.operations.system import System

manifest = System(
    name="notices",
    title=("Notices", "通知"),
    summary="Messages to parties, by inbox, mail and webhook",
    operations=("entrepot.kernel.notices.operations", "entrepot.kernel.notices.channel_operations"),
    tables=("entrepot.kernel.notices.tables",),
)
