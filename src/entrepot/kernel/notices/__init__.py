"""Messages to parties: an inbox for each, in both languages, with read receipts."""

from entrepot.kernel.notices.service import Notice, Notices

__all__ = ["Notice", "Notices"]
