"""Organisations, people and devices; tenants, roles, keys, sign-in, and relations to objects."""

from entrepot.kernel.parties.relations import Relations
from entrepot.kernel.parties.service import Parties

__all__ = ["Parties", "Relations"]
