"""The channel to banks: cash is mirrored here and moved there.

A channel is configured once at start; workflows ask it in their outside steps, never an operation.
"""

from entrepot.kernel.banking.channels import BankChannel, HttpBank, NoBank

__all__ = ["BankChannel", "HttpBank", "NoBank", "channel", "use"]

_channel: BankChannel = NoBank()


def use(chosen: BankChannel) -> None:
    """Choose the channel of this process."""
    global _channel
    _channel = chosen


def channel() -> BankChannel:
    """The channel of this process."""
    return _channel
