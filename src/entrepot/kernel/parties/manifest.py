"""What the kernel's parties bring to the registry."""

from entrepot.kernel.operations.system import System

manifest = System(
    name="parties",
    title=("Parties", "主体"),
    summary="Organisations, people, roles, keys and sign-in",
    operations=(
        "entrepot.kernel.parties.operations",
        "entrepot.kernel.parties.role_operations",
        "entrepot.kernel.parties.key_operations",
        "entrepot.kernel.parties.openid_operations",
    ),
    tables=("entrepot.kernel.parties.tables",),
    roles={
        "system_admin": ("parties:read", "parties:register", "kernel:operate"),
        "security_admin": ("parties:read", "parties:verify", "parties:grant", "parties:freeze", "parties:inspect"),
        "audit_admin": ("parties:read", "parties:inspect", "events:read", "ledger:read_all", "casework:read_all"),
        "organisation_manager": ("parties:read", "parties:appoint"),
    },
)
