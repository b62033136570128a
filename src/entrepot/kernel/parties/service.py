"""Parties and what they may do: organisations, people, role assignments, sessions and keys."""

import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from entrepot.kernel.database import Scope, UnitOfWork
from entrepot.kernel.operations.canonical import canonical
from entrepot.kernel.operations.errors import Conflict, Invalid, NotFound
from entrepot.kernel.parties.checks import credit_code
from entrepot.kernel.parties.tables import accounts, assignments, credentials, organisations, people, subjects

FOREVER = (1 << 62) - 1
DAY_US = 86_400_000_000
SESSION_US = DAY_US // 2
ADMINISTRATORS = frozenset({"system_admin", "security_admin", "audit_admin"})
CREDENTIAL_CACHE = "credentials"
# OWASP's recommendation for Argon2id: 19 MiB, two passes, one lane.
HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_NOBODY = HASHER.hash("nobody has this password")


@dataclass(frozen=True, slots=True)
class Organisation:
    """A business or authority. `state` is unverified, verified or rejected."""

    id: str
    credit_code: str
    name: str
    name_zh: str
    kind: str
    legal_representative: str
    state: str
    evidence: str
    requested_by: str
    frozen: bool
    created_us: int
    beneficial_owners: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Assignment:
    """A person's role for an organisation, from `valid_from_us` until before `valid_until_us`."""

    person: str
    organisation: str
    role: str
    valid_from_us: int
    valid_until_us: int
    granted_by: str


@dataclass(frozen=True, slots=True)
class Credential:
    """A session or key that works; the token itself is known to its holder alone."""

    id: str
    kind: str
    organisation: str
    scopes: tuple[str, ...]
    created_us: int
    expires_us: int


class Parties:
    """The tenant's parties."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._uow = scope.uow

    # --- organisations -----------------------------------------------------------------------------------------

    def register_organisation(
        self, code: str, name: str, name_zh: str, kind: str, legal_representative: str = "",
        beneficial_owners: tuple[str, ...] = (), *, organisation_id: str = "",
    ) -> str:  # fmt: skip
        """Record an unverified organisation; its id.

        Raises Invalid for a wrong code, Conflict for a known one, NotFound for a person who is not registered.
        """
        code = credit_code(code)
        for person in filter(None, (legal_representative, *beneficial_owners)):
            self._require_person(person)
        if self._uow.fetch("SELECT id FROM organisations WHERE tenant = %s AND credit_code = %s", (self._t, code)):
            raise Conflict("party/credit-code-known", f"An organisation with the credit code {code} is registered.")
        identifier = organisation_id or self._scope.new_id("org")
        self._uow.insert(
            organisations,
            (self._t, identifier, code, name, name_zh, kind, legal_representative, canonical(beneficial_owners),
             "unverified", "", self._scope.actor_id, 0, self._scope.now_us),
        )  # fmt: skip
        return identifier

    def decide_organisation(self, organisation_id: str, state: str, evidence: str) -> None:
        """Verify or reject an organisation on the evidence of a document. Raises NotFound, Conflict."""
        row = self._uow.lock(organisations, (self._t, organisation_id))
        if row is None:
            raise NotFound("party/unknown", f"There is no organisation {organisation_id}.")
        if row[8] == state:
            raise Conflict("party/decided", f"{organisation_id} is {state} already.")
        self._uow.upsert(organisations, (*row[:8], state, evidence, *row[10:]))
        self._forget()

    def freeze_organisation(self, organisation_id: str, frozen: bool) -> None:
        """Let nobody act for an organisation any more, or again. Raises NotFound, Conflict when it is so already."""
        row = self._uow.lock(organisations, (self._t, organisation_id))
        if row is None:
            raise NotFound("party/unknown", f"There is no organisation {organisation_id}.")
        if bool(row[11]) == frozen:
            raise Conflict("party/frozen", f"{organisation_id} is {'frozen' if frozen else 'not frozen'} already.")
        self._uow.upsert(organisations, (*row[:11], int(frozen), row[12]))
        self._forget()

    def organisation(self, organisation_id: str) -> Organisation:
        """One organisation. Raises NotFound."""
        row = self._uow.row(organisations, (self._t, organisation_id))
        if row is None:
            raise NotFound("party/unknown", f"There is no organisation {organisation_id}.")
        return _organisation(row)

    def organisations(self, kind: str = "", limit: int = 500) -> list[Organisation]:
        """Organisations by id, of one kind or all."""
        columns = ", ".join(column.name for column in organisations.columns)
        condition, values = (" AND kind = %s", (kind,)) if kind else ("", ())
        rows = self._uow.fetch(
            f"SELECT {columns} FROM organisations WHERE tenant = %s{condition} ORDER BY id LIMIT %s",
            (self._t, *values, limit),
        )
        return [_organisation(row) for row in rows]

    # --- people --------------------------------------------------------------------------------------------------

    def register_person(self, name_commitment: str, identity_commitment: str, *, person_id: str = "") -> str:
        """Record a person by the commitments of the fields that lie in the vault; the id."""
        identifier = person_id or self._scope.new_id("per")
        self._uow.insert(people, (self._t, identifier, name_commitment, identity_commitment, self._scope.now_us))
        return identifier

    def person_exists(self, person_id: str) -> bool:
        """Whether the person is registered."""
        return self._uow.row(people, (self._t, person_id)) is not None

    def _require_person(self, person_id: str) -> None:
        if not self.person_exists(person_id):
            raise NotFound("party/unknown", f"There is no person {person_id}.")

    def open_account(self, user_name: str, person_id: str, password_hash: str) -> None:
        """Let a person sign in locally. Raises Conflict when the name is taken."""
        if self._uow.row(accounts, (self._t, user_name)) is not None:
            raise Conflict("sign-in/name-taken", f"The user name {user_name!r} is taken.")
        self._uow.insert(accounts, (self._t, user_name, person_id, password_hash))

    def change_password(self, user_name: str, password_hash: str, *, keep: str = "") -> None:
        """Set another password and end the person's sessions, all but the one named. Raises NotFound."""
        account = self._uow.lock(accounts, (self._t, user_name))
        if account is None:
            raise NotFound("sign-in/no-account", f"There is no account {user_name!r}.")
        self._uow.upsert(accounts, (*account[:3], password_hash))
        self._uow.execute(
            "UPDATE credentials SET revoked_at = %s "
            "WHERE tenant = %s AND person = %s AND kind = 'session' AND revoked_at = 0 AND id <> %s",
            (self._scope.now_us, self._t, account[2], keep),
        )
        self._forget()

    # --- roles ---------------------------------------------------------------------------------------------------

    def grant(self, person: str, organisation: str, role: str, valid_from_us: int, valid_until_us: int) -> None:
        """Let a person act for an organisation in a role for a term.

        Raises Invalid for an empty term, Conflict where the three administrators would meet in one person or the
        organisation is not verified, NotFound for an unknown person or organisation.
        """
        if valid_until_us <= valid_from_us:
            raise Invalid("role/term", "The role must end after it begins.")
        # Locked, so that two workers cannot give one person two administrators' roles at once.
        if self._uow.lock(people, (self._t, person)) is None:
            raise NotFound("party/unknown", f"There is no person {person}.")
        if self.organisation(organisation).state != "verified":
            raise Conflict("party/unverified", f"{organisation} must be verified before anyone acts for it.")
        held = {
            a.role
            for a in self.assignments(person)
            if a.valid_from_us < valid_until_us and valid_from_us < a.valid_until_us
        }
        if role in ADMINISTRATORS and held & (ADMINISTRATORS - {role}):
            raise Conflict(
                "role/administrators-apart", "One person may hold only one of the three administrator roles."
            )
        self._uow.upsert(
            assignments, (self._t, person, organisation, role, valid_from_us, valid_until_us, self._scope.actor_id)
        )
        self._forget()

    def revoke(self, person: str, organisation: str, role: str) -> None:
        """End a role at once. Raises NotFound."""
        key = (self._t, person, organisation, role)
        if self._uow.lock(assignments, key) is None:
            raise NotFound("role/unknown", f"{person} does not hold the role {role} for {organisation}.")
        self._uow.delete(assignments, key)
        self._forget()

    def assignments(self, person: str = "", organisation: str = "", limit: int = 1_000) -> list[Assignment]:
        """The assignments of a person, of an organisation, or all; past and future ones too."""
        asked = [(column, value) for column, value in (("person", person), ("organisation", organisation)) if value]
        conditions = "".join(f" AND {column} = %s" for column, _ in asked)
        rows = self._uow.fetch(
            "SELECT person, organisation, role, valid_from, valid_until, granted_by FROM role_assignments "
            f"WHERE tenant = %s{conditions} ORDER BY person, organisation, role LIMIT %s",
            (self._t, *(value for _, value in asked), limit),
        )
        return [Assignment(*row) for row in rows]

    def link_subject(self, issuer: str, subject: str, person: str, organisation: str) -> None:
        """Let a subject of an OpenID Connect issuer be a person here.

        Raises NotFound, and Conflict while it is another's: unlinking ends that one's sessions, which this would not.
        """
        self._require_person(person)
        self.organisation(organisation)
        key = (self._t, issuer.rstrip("/"), subject)
        linked = self._uow.lock(subjects, key)
        if linked is not None and (linked[3], linked[4]) != (person, organisation):
            raise Conflict("sign-in/linked", "This account is linked already; unlink it first.")
        self._uow.upsert(subjects, (*key, person, organisation))
        self._forget()

    def unlink_subject(self, issuer: str, subject: str) -> tuple[str, str]:
        """End a subject's link; the person and organisation it had. Raises NotFound."""
        key = (self._t, issuer.rstrip("/"), subject)
        row = self._uow.lock(subjects, key)
        if row is None:
            raise NotFound("sign-in/unknown-subject", f"The account {subject!r} is linked to nobody here.")
        self._uow.delete(subjects, key)
        self._forget()
        return str(row[3]), str(row[4])

    # --- sessions and keys -----------------------------------------------------------------------------------------

    def issue(
        self, kind: str, person: str, organisation: str, scopes: tuple[str, ...], expires_us: int
    ) -> tuple[str, str]:
        """A new session or key: its id, and the token that is shown once and stored only as a digest."""
        prefix = {"session": "es", "key": "ek"}[kind]
        token = f"{prefix}_{secrets.token_urlsafe(32)}"
        identifier = self._scope.new_id("crd")
        self._uow.insert(
            credentials,
            (self._t, identifier, kind, token_digest(token), person, organisation, canonical(list(scopes)),
             self._scope.now_us, expires_us, 0),
        )  # fmt: skip
        return identifier, token

    def credentials(self, person: str, now_us: int, limit: int = 500) -> list[Credential]:
        """A person's sessions and keys that still work, newest first."""
        rows = self._uow.fetch(
            "SELECT id, kind, organisation, scopes, created_at, expires_at FROM credentials "
            "WHERE tenant = %s AND person = %s AND revoked_at = 0 AND expires_at > %s ORDER BY id DESC LIMIT %s",
            (self._t, person, now_us, limit),
        )
        return [Credential(row[0], row[1], row[2], tuple(json.loads(row[3])), row[4], row[5]) for row in rows]

    def revoke_credential(self, credential_id: str, *, holder: str = "") -> None:
        """End a session or key at once; with `holder` only that person's own. Raises NotFound."""
        row = self._uow.lock(credentials, (self._t, credential_id))
        if row is None or (holder and row[4] != holder):
            raise NotFound("credential/unknown", f"There is no session or key {credential_id}.")
        if not row[9]:
            self._uow.upsert(credentials, (*row[:9], self._scope.now_us))
        self._forget()

    def _forget(self) -> None:
        # What is remembered of tokens is dropped before the commit is answered, so that no refused token works.
        uow, tenant = self._uow, self._t
        if uow.dialect == "postgresql":  # other workers remember, too: they ask for the epoch first
            sql = (
                "INSERT INTO credential_epochs (tenant, epoch) VALUES (%s, 1) "
                "ON CONFLICT (tenant) DO UPDATE SET epoch = credential_epochs.epoch + 1 RETURNING epoch"
            )

            def count() -> None:
                uow.read(sql, (tenant,))

            uow.before_commit(f"credential-epoch:{tenant}", count)
            return
        memory = uow.database.caches.setdefault(CREDENTIAL_CACHE, {})
        epoch = uow.database.caches.setdefault("credential_epoch", {})

        def drop() -> None:
            epoch["now"] = epoch.get("now", 0) + 1
            memory.clear()

        uow.on_commit(drop)

    @property
    def _t(self) -> str:
        return self._scope.tenant


def token_digest(token: str) -> str:
    """What is stored of a token: SHA-256, hexadecimal (a token has 256 bits of chance, so no salt is needed)."""
    return hashlib.sha256(token.encode()).hexdigest()


def hash_password(password: str) -> str:
    """Argon2id hash of a password. Raises Invalid for one that is too short."""
    if len(password) < 10:
        raise Invalid("sign-in/password-short", "A password has at least 10 characters.")
    return HASHER.hash(password)


def check_password(uow: UnitOfWork, tenant: str, user_name: str, password: str) -> str:
    """The password hash that the password fits, or ""; takes as long for names that do not exist."""
    row = uow.row(accounts, (tenant, user_name))
    stored = str(row[3]) if row else _NOBODY
    try:
        HASHER.verify(stored, password)
    except (Argon2Error, InvalidHashError):
        return ""
    return stored if row else ""


def _organisation(row: tuple[Any, ...]) -> Organisation:
    return Organisation(
        id=row[1], credit_code=row[2], name=row[3], name_zh=row[4], kind=row[5], legal_representative=row[6],
        state=row[8], evidence=row[9], requested_by=row[10], frozen=bool(row[11]), created_us=row[12],
        beneficial_owners=tuple(json.loads(row[7])),
    )  # fmt: skip
