"""What the kernel's signing brings to the registry."""

from entrepot.kernel.operations.system import System

manifest = System(
    name="signing",
    title=("Signatures and evidence", "签名与存证"),
    summary="Keys of parties, seals on documents, witnessed heads of the chain, evidence packs",
    operations=("entrepot.kernel.signing.operations",),
    tables=("entrepot.kernel.signing.tables",),
    roles={
        "audit_admin": ("signing:read", "signing:evidence"),
        "security_admin": ("signing:read", "signing:own"),
        "witness": ("signing:read", "signing:own", "signing:witness"),
    },
)
