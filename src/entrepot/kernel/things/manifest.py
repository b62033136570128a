"""What things bring to the registry."""

from entrepot.kernel.operations.system import System

manifest = System(
    name="things",
    title=("Things", "物联"),
    summary="Devices, signed telemetry, rules and alarms",
    operations=("entrepot.kernel.things.operations",),
    tables=("entrepot.kernel.things.tables",),
    roles={
        "trader": ("things:read",),
        "custodian": ("things:read", "things:register", "things:acknowledge"),
        "bank_clerk": ("things:read",),
        "regulator": ("things:read",),
        "system_admin": ("things:read", "things:inspect"),
    },
)
