"""A worker that is killed after a webhook was delivered and before that was written down: `python -m … URL NOW_US`."""

import os
import signal
import sys

from entrepot.kernel.database import open_database
from entrepot.kernel.notices import Deliverer, Notice
from entrepot.kernel.notices.channels import Target
from entrepot.kernel.notices.webhook import WebhookChannel
from tests.kernel.notices.post import KEYRING


class Dying:
    """Delivers, then dies."""

    def deliver(self, target: Target, notice: Notice, key: str) -> None:
        """See Channel."""
        WebhookChannel(lambda: int(sys.argv[2]), private=True).deliver(target, notice, key)
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Deliver what is due."""
    database = open_database(sys.argv[1], durable=False)
    deliverer = Deliverer(database, lambda: int(sys.argv[2]), {"webhook": Dying()}, KEYRING, lambda *_: None)
    deliverer.run_due()


if __name__ == "__main__":
    main()
