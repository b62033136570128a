"""The append-only event log (CloudEvents 1.0), its sealed chain, and subscriptions to it."""

from entrepot.kernel.events.chain import Break, Sealer, block_hash, verify_chain
from entrepot.kernel.events.service import Event, Events
from entrepot.kernel.events.subscriptions import Subscriber, Subscription

__all__ = ["Break", "Event", "Events", "Sealer", "Subscriber", "Subscription", "block_hash", "verify_chain"]
