"""Messages to parties and people: an inbox for each, in both languages, with read receipts; mail and webhooks."""

from entrepot.kernel.notices.addresses import Addresses
from entrepot.kernel.notices.channels import Channel
from entrepot.kernel.notices.delivery import Deliverer
from entrepot.kernel.notices.service import Notices
from entrepot.kernel.notices.setup import Channels, set_up_channels
from entrepot.kernel.notices.values import Notice

__all__ = ["Addresses", "Channel", "Channels", "Deliverer", "Notice", "Notices", "set_up_channels"]
