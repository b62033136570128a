"""The channel to banks: cash is mirrored here and moved there.

A channel is configured once at start; workflows ask it in their outside steps, never an operation. `instruct` and
`status` look for the channel at each call: work resumed after a start may begin before the channel is chosen.
"""

from entrepot.kernel.banking.channels import BankChannel, BankRefused, BankUnreachable, HttpBank, Json, NoBank

__all__ = [
    "BankChannel",
    "BankRefused",
    "BankUnreachable",
    "HttpBank",
    "NoBank",
    "channel",
    "instruct",
    "status",
    "use",
]

_channel: BankChannel = NoBank()


def use(chosen: BankChannel) -> None:
    """Choose the channel of this process."""
    global _channel
    _channel = chosen


def channel() -> BankChannel:
    """The channel of this process."""
    return _channel


def instruct(instruction_id: str, payment: Json) -> Json:
    """`BankChannel.instruct` of the channel chosen by now."""
    return _channel.instruct(instruction_id, payment)


def status(instruction_id: str) -> Json:
    """`BankChannel.status` of the channel chosen by now."""
    return _channel.status(instruction_id)
