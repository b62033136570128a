"""What reference data brings to the registry."""

from entrepot.kernel.operations.system import System

manifest = System(
    name="reference",
    title=("Reference data", "基础数据"),
    summary="Prices, calendars and units",
    operations=("entrepot.kernel.reference.operations",),
    tables=("entrepot.kernel.reference.tables",),
    roles={"price_clerk": ("reference:read", "reference:write")},
)
