"""What timers bring to the registry."""

from entrepot.kernel.operations.system import System

manifest = System(
    name="timers",
    title=("Timers", "定时任务"),
    summary="Deadlines and schedules, and those that were refused",
    operations=("entrepot.kernel.timers.operations",),
    tables=("entrepot.kernel.timers.tables",),
)
