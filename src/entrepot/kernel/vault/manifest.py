"""What the kernel's vault brings to the registry."""

from entrepot.kernel.operations.system import System

manifest = System(
    name="vault",
    title=("Personal data", "个人信息"),
    summary="Consent, export and erasure of personal fields, each person under an own key",
    operations=("entrepot.kernel.vault.operations",),
    tables=("entrepot.kernel.vault.tables",),
    roles={"person": ("vault:own",), "privacy_officer": ("vault:own", "vault:act_for")},
)
