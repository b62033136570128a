"""Messages to parties and people: an inbox for each, in both languages, with read receipts and outside channels."""

from entrepot.kernel.notices.delivery import Channel, Deliverer
from entrepot.kernel.notices.service import Notice, Notices

__all__ = ["Channel", "Deliverer", "Notice", "Notices"]
