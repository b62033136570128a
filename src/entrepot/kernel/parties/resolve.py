"""From a bearer token to an actor."""

import json
from collections.abc import Callable
from typing import Any

from entrepot.kernel.database import Database, UnitOfWork
from entrepot.kernel.operations import Actor, Clock, Registry, Unauthorised
from entrepot.kernel.parties.service import CREDENTIAL_CACHE, token_digest

CACHE_LIMIT = 100_000
Foreign = Callable[[str], tuple[str, str, str, int] | None]


class Resolver:
    """Finds the actor of a token.

    On SQLite, where this process alone writes, what was found is remembered until a credential or role changes or
    ends; on PostgreSQL the credential is read each time, so that a revocation by any worker works at once.
    `foreign(token)` may know tokens of others (OpenID Connect, the operator's local ones): it returns tenant, person,
    organisation and expiry in microseconds, or None when the token is not its kind.
    """

    def __init__(self, database: Database, registry: Registry, clock: Clock, foreign: tuple[Foreign, ...] = ()) -> None:
        self._database = database
        self._registry = registry
        self._clock = clock
        self._foreign = foreign
        self._known: dict[str, tuple[Actor, int, int]] | None = None
        if database.dialect == "sqlite":
            self._known = database.caches.setdefault(CREDENTIAL_CACHE, {})
        self._epoch = database.caches.setdefault("credential_epoch", {})

    def actor(self, token: str) -> Actor:
        """The actor who holds the token. Raises Unauthorised for an unknown, expired or revoked one."""
        digest = token_digest(token)
        now_us = self._clock.now_us()
        epoch = self._epoch.get("now", 0)
        if self._known is not None and (known := self._known.get(digest)) is not None:
            actor, until_us, found_at = known
            # What was read before the newest change may be written here after it: the epoch tells.
            if found_at == epoch and now_us < until_us:
                return actor
        claim = next((claim for foreign in self._foreign if (claim := foreign(token)) is not None), None)
        with self._database.reader() as uow:
            if claim is None:
                actor, until_us = self._stored(uow, digest, now_us)
            else:
                tenant, person, organisation, until_us = claim
                if now_us >= until_us:
                    raise Unauthorised("sign-in/expired", "This token has expired; sign in again.")
                actor, until_us = self._actor(uow, tenant, person, organisation, None, token[:3], until_us, now_us)
        if self._known is not None:
            if len(self._known) >= CACHE_LIMIT:
                self._known.clear()
            self._known[digest] = (actor, until_us, epoch)
        return actor

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
