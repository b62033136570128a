"""A tenant that sends notices: executor, registered addresses and a deliverer with a clock that the test moves."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from random import Random
from typing import Any, TypeVar

from entrepot.kernel.database import Database, Scope
from entrepot.kernel.notices import Addresses, Channel, Deliverer, Notices
from entrepot.kernel.notices.addresses import MAIL, WEBHOOK
from entrepot.kernel.notices.channel_operations import RecordGone, RegisterAddress, Registered
from entrepot.kernel.notices.channels import Offer
from entrepot.kernel.notices.mail import mail_objection
from entrepot.kernel.notices.manifest import manifest as notices_manifest
from entrepot.kernel.notices.webhook import WebhookChannel, url_objection
from entrepot.kernel.operations import Actor, Answer, Executor, ManualClock, Registry, Request, Runtime
from entrepot.kernel.operations.clock import stem
from entrepot.kernel.signing import Keyring
from entrepot.kernel.vault import Vault
from entrepot.kernel.vault.manifest import manifest as vault_manifest

A = TypeVar("A", bound=Answer)
START = datetime(2026, 3, 1, 8, tzinfo=UTC)
TENANT = "lanzhou"
TITLE, BODY = ("Margin call", "补足担保通知"), ("Top up by Friday.", "请于周五前补足。")
KEYRING = Keyring(b"m" * 32)
SECOND_US, HOUR_US = 1_000_000, 3_600_000_000
OFFERS = {MAIL: Offer("", mail_objection), WEBHOOK: Offer("", lambda url: url_objection(url, private=True))}
SCOPES = frozenset({"parties:self", "vault:own"})


class Post:
    """See the module. Everything is set up unless `offers` says otherwise."""

    def __init__(self, database: Database, offers: dict[str, Offer] | None = None) -> None:
        self.database = database
        self.clock = ManualClock(START)
        self.channels: dict[str, Channel] = {WEBHOOK: WebhookChannel(self.clock.now_us, private=True)}
        self._keys = count(1)
        runtime = Runtime(
            database,
            Registry((notices_manifest, vault_manifest)),
            self.clock,
            make_vault=lambda scope: Vault(scope, KEYRING),
            make_addresses=lambda scope: Addresses(scope, KEYRING, OFFERS if offers is None else offers),
        )
        self.executor = Executor(runtime, seed=1).start()
        self._workers: list[Deliverer] = []
        self.deliverer = self.another()

    def another(self, database: Database | None = None, **details: Any) -> Deliverer:
        """One more worker."""
        made = Deliverer(
            database or self.database, self.clock.now_us, self.channels, KEYRING, self._gone, pause_s=0.02, **details
        )
        self._workers.append(made)
        return made

    def close(self) -> None:
        for each in self._workers:
            each.stop()
        self.executor.stop()

    def actor(self, person: str = "per_li", party: str = "org_bank") -> Actor:
        return Actor(TENANT, person, party, "person", SCOPES)

    def run(self, request: Request[A], person: str = "per_li", party: str = "org_bank", key: str = "") -> A:
        return self.executor.run(request, self.actor(person, party), key=key or f"k{next(self._keys)}")

    def ask(self, request: Request[A], person: str = "per_li", party: str = "org_bank") -> A:
        return self.executor.run(request, self.actor(person, party))

    def hook(self, url: str, kinds: list[str] | None = None, party: str = "org_bank") -> Registered:
        """A webhook of a party."""
        request = RegisterAddress(party=party, channel="webhook", address=url, kinds=kinds or ["margin-call"])
        return self.run(request, party=party)

    @contextmanager
    def scope(self, database: Database | None = None) -> Iterator[Scope]:
        """A unit of work outside of the executor."""
        names = count(1)
        with (database or self.database).unit() as uow:
            uow.begin_operation()
            now_us = self.clock.now_us()
            chance = Random(f"{now_us}{next(self._keys)}")

            def new_id(prefix: str) -> str:
                return f"{prefix}_{stem(now_us, chance)}{next(names):02d}"

            yield Scope(uow, TENANT, now_us, chance, new_id, "tester", lambda *_: None)

    def send(self, party: str = "org_bank", kind: str = "margin-call", title: tuple[str, str] = TITLE) -> str:
        with self.scope() as scope:
            return Notices(scope).send(party, kind, title, BODY, "fac_1")

    def states(self, notice: str) -> dict[str, str]:
        with self.scope() as scope:
            return Notices(scope).deliveries(notice)

    def later(self, seconds: float = 3_600) -> None:
        self.clock.move_to_us(self.clock.now_us() + int(seconds * SECOND_US))

    def row(self, address: str) -> Any:
        with self.scope() as scope:
            return Addresses(scope).get(address)

    def _gone(self, tenant: str, address: str, problem: str, key: str) -> None:
        system = Actor.system(tenant, "notices", frozenset({"notices:deliver"}))
        self.executor.run(RecordGone(address_id=address, problem=problem), system, key=key)


def until(check: Callable[[], Any], patience_s: float = 10.0) -> None:
    """Wait until `check` holds."""
    end = time.monotonic() + patience_s
    while not check():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.01)


__all__ = ["BODY", "HOUR_US", "KEYRING", "OFFERS", "START", "TENANT", "TITLE", "Post", "until"]
