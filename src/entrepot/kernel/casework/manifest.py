"""What casework brings to the registry."""

from entrepot.kernel.operations.system import System

manifest = System(
    name="casework",
    title=("Casework", "办件"),
    summary="Cases with states, deadlines in working time and history",
    operations=("entrepot.kernel.casework.operations",),
    tables=("entrepot.kernel.casework.tables",),
    roles={"case_designer": ("casework:read", "casework:define")},
)
