"""From a bearer token to an actor."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from entrepot.kernel.database import Database, UnitOfWork
from entrepot.kernel.operations import Actor, Clock, Registry, Unauthorised
from entrepot.kernel.parties.service import CREDENTIAL_CACHE, token_digest

CACHE_LIMIT = 100_000
EPOCH = "SELECT CAST(COALESCE(SUM(epoch), 0) AS BIGINT) FROM credential_epochs"
Foreign = Callable[[str], tuple[str, str, str, int] | None]


class Resolver:
    """Finds the actor of a token, and remembers it until a credential, role or link changes or ends.

    What was found holds for the epoch in which it was read. On SQLite, where this process alone writes, the epoch is a
    number in memory. On PostgreSQL it is in the database and is read anew for each request, by one statement for all
    requests that wait together, so that a revocation by any worker works at once.
    `foreign(token)` may know tokens of others (OpenID Connect, the operator's local ones): it returns tenant, person,
    organisation and expiry in microseconds, or None when the token is not its kind.
    """

    def __init__(self, database: Database, registry: Registry, clock: Clock, foreign: tuple[Foreign, ...] = ()) -> None:
        self._database = database
        self._registry = registry
        self._clock = clock
        self._foreign = foreign
        self._alone = database.dialect == "sqlite"
        self._known: dict[str, tuple[Actor, int, int]] = {}
        if self._alone:
            self._known = database.caches.setdefault(CREDENTIAL_CACHE, {})
        self._memory = database.caches.setdefault("credential_epoch", {})
        self._asking: list[asyncio.Future[int]] = []
        self._asker: asyncio.Task[None] | None = None

    async def resolve(self, token: str) -> Actor:
        """Like `actor`, for the event loop, which waits for no database. Raises Unauthorised."""
        digest = token_digest(token)
        if digest in self._known:
            epoch = self._memory.get("now", 0) if self._alone else await self._current_epoch()
            known = self._remembered(digest, epoch)
            if known is not None:
                return known
        return await asyncio.to_thread(self.actor, token)

    def actor(self, token: str) -> Actor:
        """The actor who holds the token. Raises Unauthorised for an unknown, expired or revoked one."""
        digest = token_digest(token)
        now_us = self._clock.now_us()
        epoch = self._memory.get("now", 0)
        if self._alone and (known := self._remembered(digest, epoch)) is not None:
            return known
        claim = next((claim for foreign in self._foreign if (claim := foreign(token)) is not None), None)

        def find(uow: UnitOfWork) -> tuple[Actor, int, int]:
            found_at = epoch if self._alone else int(uow.read(EPOCH)[0][0])  # of the same snapshot as what follows
            if claim is None:
                return *self._stored(uow, digest, now_us), found_at
            tenant, person, organisation, until_us = claim
            if now_us >= until_us:
                raise Unauthorised("sign-in/expired", "This token has expired; sign in again.")
            return *self._actor(uow, tenant, person, organisation, None, token[:3], until_us, now_us), found_at

        actor, until_us, epoch = self._database.ask(find)
        if len(self._known) >= CACHE_LIMIT:
            self._known.clear()
        self._known[digest] = (actor, until_us, epoch)
        return actor

    def _remembered(self, digest: str, epoch: int) -> Actor | None:
        known = self._known.get(digest)
        if known is None:
            return None
        actor, until_us, found_at = known
        # What was read before the newest change may be written here after it: the epoch tells.
        return actor if found_at == epoch and self._clock.now_us() < until_us else None

    async def _current_epoch(self) -> int:
        """The epoch as a statement finds it that was begun after this call."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()
        self._asking.append(future)
        if self._asker is None or self._asker.done() or self._asker.get_loop() is not loop:
            self._asker = loop.create_task(self._ask())
        return await future

    async def _ask(self) -> None:
        while self._asking:
            asking, self._asking = self._asking, []
            try:
                epoch = await asyncio.to_thread(self._read_epoch)
            except Exception as error:  # noqa: BLE001 - whoever asked gets it
                for future in asking:
                    if not future.done():
                        future.set_exception(error)
                continue
            for future in asking:
                if not future.done():
                    future.set_result(epoch)

    def _read_epoch(self) -> int:
        return self._database.ask(lambda uow: int(uow.read(EPOCH)[0][0]))

    def _stored(self, uow: UnitOfWork, digest: str, now_us: int) -> tuple[Actor, int]:
        rows = uow.read(
            "SELECT tenant, id, kind, person, organisation, scopes, expires_at, revoked_at "
            "FROM credentials WHERE token_hash = %s",
            (digest,),
        )
        if not rows:
            raise Unauthorised("sign-in/unknown-token", "This token is unknown; sign in again.")
        tenant, identifier, kind, person, organisation, scopes, expires_us, revoked_us = rows[0]
        if revoked_us:
            raise Unauthorised("sign-in/revoked", "This session or key was revoked; sign in again.")
        if now_us >= expires_us:
            raise Unauthorised("sign-in/expired", "This session or key has expired; sign in again.")
        only = frozenset(json.loads(scopes)) if kind == "key" else None
        return self._actor(uow, tenant, person, organisation, only, identifier, expires_us, now_us)

    def _actor(
        self, uow: UnitOfWork, tenant: str, person: str, organisation: str, only: frozenset[str] | None, session: str,
        until_us: int, now_us: int,
    ) -> tuple[Actor, int]:  # fmt: skip
        rows: list[tuple[Any, ...]] = uow.read(
            "SELECT a.role, a.valid_from, a.valid_until FROM role_assignments a "
            "JOIN organisations o ON o.tenant = a.tenant AND o.id = a.organisation "
            "WHERE a.tenant = %s AND a.person = %s AND a.organisation = %s AND o.frozen = 0 AND o.state = 'verified'",
            (tenant, person, organisation),
        )
        held = [row for row in rows if row[1] <= now_us < row[2]]
        ends = [row[2] for row in held] + [row[1] for row in rows if row[1] > now_us]
        roles = frozenset(row[0] for row in held)
        granted: set[str] = {"parties:self"}
        for role in roles:
            granted |= self._registry.roles.get(role, frozenset())
        scopes = frozenset(granted if only is None else granted & only)
        return Actor(tenant, person, organisation, "person", scopes, roles, session), min([until_us, *ends])
