"""The channels that the settings set up, and what is missing for the others."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from entrepot.kernel.notices.addresses import MAIL, WEBHOOK
from entrepot.kernel.notices.channels import Channel, Offer
from entrepot.kernel.notices.mail import MailChannel, SmtpServer, mail_objection
from entrepot.kernel.notices.webhook import WebhookChannel, url_objection

Webhooks = Literal["off", "public", "private"]


@dataclass(frozen=True, slots=True)
class Channels:
    """What is set up, by channel, and for every channel whether addresses may be registered."""

    ready: dict[str, Channel]
    offers: dict[str, Offer]


def set_up_channels(
    now_us: Callable[[], int], *, smtp_url: str = "", mail_from: str = "", webhooks: Webhooks = "off", inbox_url: str
) -> Channels:
    """Channels by settings. Raises ValueError for an SMTP URL or sender that cannot be read."""
    ready: dict[str, Channel] = {}
    missing = [
        name for name, value in (("ENTREPOT_SMTP_URL", smtp_url), ("ENTREPOT_MAIL_FROM", mail_from)) if not value
    ]
    if not missing:
        ready[MAIL] = MailChannel(SmtpServer.parse(smtp_url), mail_from, now_us, inbox_url)
    private = webhooks == "private"
    if webhooks != "off":
        ready[WEBHOOK] = WebhookChannel(now_us, private=private)
    offers = {
        MAIL: Offer(", ".join(missing), mail_objection),
        WEBHOOK: Offer(
            "ENTREPOT_WEBHOOKS=public" if webhooks == "off" else "", lambda address: url_objection(address, private)
        ),
    }
    return Channels(ready, offers)
