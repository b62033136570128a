"""What the event log brings to the registry."""

from entrepot.kernel.operations.system import System

manifest = System(
    name="events",
    title=("Events", "事件"),
    summary="The sealed log of all that happened",
    operations=("entrepot.kernel.events.operations",),
    tables=("entrepot.kernel.events.tables", "entrepot.kernel.database.sealing"),
)
