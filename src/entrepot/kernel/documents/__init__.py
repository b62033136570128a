"""Content-addressed files: each document lies under its SHA-256, once, whole."""

from entrepot.kernel.documents.service import Document, Documents, verify_documents
from entrepot.kernel.documents.store import Store

__all__ = ["Document", "Documents", "Store", "verify_documents"]
