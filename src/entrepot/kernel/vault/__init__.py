"""Personal fields under a key per person: purpose, consent, retention, export, erasure."""

from entrepot.kernel.vault.service import Consent, StoredField, Vault
from entrepot.kernel.vault.verification import verify_vault

__all__ = ["Consent", "StoredField", "Vault", "verify_vault"]
