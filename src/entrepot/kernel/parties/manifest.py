"""What the kernel's parties bring to the registry."""

from entrepot.kernel.operations.system import System

manifest = System(
    name="parties",
    title=("Parties", "主体"),
    summary="Organisations, people, roles, keys and sign-in",
    operations=("entrepot.kernel.parties.operations", "entrepot.kernel.parties.openid_operations"),
    tables=("entrepot.kernel.parties.tables",),
    roles={
        "system_admin": ("parties:read", "parties:register", "kernel:operate"),
        "security_admin": ("parties:read", "parties:verify", "parties:grant"),
        "audit_admin": ("parties:read", "events:read", "ledger:read_all", "casework:read_all"),
    },
)
