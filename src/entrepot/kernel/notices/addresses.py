"""Where the notices to a party or person go besides the inbox: registered, confirmed, ended.

An address may say who somebody is, and a webhook's path is often a password: both are kept like a webhook's secret,
wrapped by the server's keyring, in no event and in no log. Ending an address destroys them.
"""

import base64
import hmac
import json
from collections.abc import Mapping
from typing import NamedTuple

from entrepot.kernel.database import Scope
from entrepot.kernel.notices.channels import Offer
from entrepot.kernel.notices.routing import ACTIVE, change_route
from entrepot.kernel.notices.service import FAILED, QUEUED, Notices
from entrepot.kernel.notices.tables import addresses, deliveries
from entrepot.kernel.operations.canonical import canonical
from entrepot.kernel.operations.errors import Conflict, Invalid, NotFound, TooMany, Unavailable
from entrepot.kernel.signing.keyring import Keyring
from entrepot.kernel.signing.suites import Unreadable

MAIL, WEBHOOK = "mail", "webhook"
UNCONFIRMED, ENDED = "unconfirmed", "ended"
MAX_ADDRESSES = 10  # of a party, not ended
MAX_CODES, CODE_DIGITS, MAX_WRONG_CODES = 5, 8, 5  # of an address
MAX_CODES_A_DAY = 20  # of a party: nobody's mailbox is filled from here
CODE_US, DAY_US = 30 * 60 * 1_000_000, 86_400_000_000
SECRET_BYTES = 32
ADDRESS_COLUMNS = ", ".join(column.name for column in addresses.columns)


class Address(NamedTuple):
    """A row of `notice_addresses`."""

    tenant: str
    id: str
    party: str
    channel: str
    sealed: bytes
    kinds: str
    state: str
    made_by: str
    made_us: int
    codes: int
    code_us: int
    failures: int
    resting_until_us: int
    problem: str
    ended_us: int


class Content(NamedTuple):
    """What lies sealed in an address: where it leads, a webhook's secret, the code that is waited for."""

    address: str
    secret: str = ""
    code: str = ""


def open_content(keyring: Keyring, address: Address) -> Content:
    """The sealed content. Raises Unreadable."""
    opened = keyring.unwrap(bytes(address.sealed), _place(address.tenant, address.id))
    return Content(**json.loads(opened))


class Addresses:
    """The tenant's registered addresses. Without a keyring, or a channel that is set up, none can be registered."""

    def __init__(self, scope: Scope, keyring: Keyring | None = None, offers: Mapping[str, Offer] | None = None) -> None:
        self._scope = scope
        self._uow = scope.uow
        self._keyring = keyring
        self.offers = offers or {}

    def register(self, party: str, channel: str, address: str, kinds: tuple[str, ...] = ()) -> tuple[Address, str]:
        """A new address and, for a webhook, its secret. A mail address waits for the code that is sent to it.

        Raises Conflict where the channel is not set up or the address is registered already, Invalid for an address
        that cannot be used, TooMany beyond the limits of the party.
        """
        offer = self._offer(channel)
        objection = offer.objection(address)
        if objection:
            raise Invalid("notice/address", f"This address cannot be used: {objection}.")
        keyring = self._open_keyring()
        standing = self.of({party})
        if len(standing) >= MAX_ADDRESSES:
            raise TooMany("notice/too-many-addresses", f"{party} has {MAX_ADDRESSES} addresses: end one of them first.")
        if any(each.channel == channel and self.content(each).address == address for each in standing):
            raise Conflict("notice/known-address", "This address is registered already.")
        scope, identifier = self._scope, self._scope.new_id("adr")
        secret = code = ""
        if channel == WEBHOOK:
            secret = "whsec_" + base64.b64encode(keyring.entropy(SECRET_BYTES)).decode()
        else:
            code = self._new_code(party)
        row = Address(
            scope.tenant, identifier, party, channel, self._seal(identifier, Content(address, secret, code)),
            f" {' '.join(sorted(set(kinds)))} " if kinds else "", UNCONFIRMED if code else ACTIVE, scope.actor_id,
            scope.now_us, 1 if code else 0, scope.now_us if code else 0, 0, 0, "", 0,
        )  # fmt: skip
        self._uow.insert(addresses, row)
        if code:
            self._queue_code(identifier)
        else:
            self._activated(row)
        return row, secret

    def send_code(self, address_id: str) -> Address:
        """Send another code; the earlier one counts no more. Raises NotFound, Conflict, TooMany."""
        row = self._waiting(address_id)
        if row.codes >= MAX_CODES:
            raise TooMany("notice/too-many-codes", f"{MAX_CODES} codes were sent to this address: register it anew.")
        content = self.content(row)._replace(code=self._new_code(row.party))
        row = row._replace(
            sealed=self._seal(row.id, content), codes=row.codes + 1, code_us=self._scope.now_us, failures=0,
            resting_until_us=0, problem="",
        )  # fmt: skip
        self._uow.upsert(addresses, row)
        self._queue_code(row.id)
        return row

    def confirm(self, address_id: str, code: str, wrong: int) -> Address:
        """Confirm a mail address by the code that was sent to it; `wrong` is how often it was tried in vain.

        Raises NotFound, Conflict when nothing is waited for or the code is too old, TooMany, Invalid.
        """
        row = self._waiting(address_id)
        if wrong >= MAX_WRONG_CODES:
            raise TooMany("notice/too-many-wrong-codes", "Too many wrong codes: have another one sent.")
        if self._scope.now_us >= row.code_us + CODE_US:
            raise Conflict("notice/old-code", "The code is older than half an hour: have another one sent.")
        content = self.content(row)
        if not hmac.compare_digest(content.code.encode(), code.encode()):
            raise Invalid("notice/wrong-code", "This is not the code that was sent.")
        row = row._replace(state=ACTIVE, sealed=self._seal(row.id, content._replace(code="")))
        self._uow.upsert(addresses, row)
        self._activated(row)
        return row

    def end(self, address_id: str, problem: str = "") -> Address:
        """End an address: nothing more is sent there, what it leads to is destroyed. Raises NotFound.

        One that has ended is answered as it is.
        """
        row = self._locked(address_id)
        if row.state == ENDED:
            return row
        scope, uow = self._scope, self._uow
        change_route(uow, scope.tenant, scope.now_us, row.party, row.id, None)
        row = row._replace(state=ENDED, sealed=b"", problem=problem or row.problem, ended_us=scope.now_us)
        uow.upsert(addresses, row)
        uow.execute(
            "UPDATE notice_deliveries SET state = %s, next_at = %s, problem = %s "
            "WHERE tenant = %s AND address = %s AND state = %s",
            (FAILED, scope.now_us, "the address was ended", scope.tenant, row.id, QUEUED),
        )
        return row

    def forget(self, party: str) -> int:
        """End every address of a party, as when a person is erased; how many there were."""
        standing = self.of({party})
        for row in standing:
            self.end(row.id)
        return len(standing)

    def get(self, address_id: str) -> Address | None:
        """The address of that id."""
        row = self._uow.row(addresses, (self._scope.tenant, address_id))
        return None if row is None else Address(*row)

    def of(self, parties: set[str], *, ended: bool = False) -> list[Address]:
        """The addresses of these parties in the order of their making; those that have ended only with `ended`."""
        whose = sorted(parties - {""})
        rows = self._uow.fetch(
            f"SELECT {ADDRESS_COLUMNS} FROM notice_addresses WHERE tenant = %s AND "
            f"{self._uow.any_('party', len(whose))}{'' if ended else ' AND ended_at = 0'} ORDER BY id LIMIT 500",
            (self._scope.tenant, *whose),
        )
        return [Address(*row) for row in rows]

    def content(self, address: Address) -> Content:
        """What lies sealed in it; empty once it has ended. Raises Unavailable where the server lacks the key."""
        if not address.sealed:
            return Content("")
        try:
            return open_content(self._open_keyring(), address)
        except Unreadable as error:
            raise Unavailable("notice/no-master-key", f"The address cannot be opened: {error}.") from None

    def traffic(self, address_id: str) -> tuple[int, int]:
        """How many messages wait for an address, and when the last one was delivered (0: never)."""
        key = (self._scope.tenant, address_id)
        sql = "SELECT {} FROM notice_deliveries WHERE tenant = %s AND address = %s AND state = %s"
        waiting = self._uow.fetch(sql.format("COUNT(*)"), (*key, QUEUED))[0][0]
        last = self._uow.fetch(sql.format("MAX(next_at)"), (*key, "delivered"))[0][0]
        return int(waiting), int(last or 0)

    # --- parts -------------------------------------------------------------------------------------------------

    def _offer(self, channel: str) -> Offer:
        offer = self.offers.get(channel)
        if offer is None:
            raise Invalid("notice/unknown-channel", f"There is no channel {channel!r}.")
        if offer.missing:
            raise Conflict(
                "notice/channel-not-set-up", f"{channel} is not set up: the operator must set {offer.missing}."
            )
        return offer

    def _waiting(self, address_id: str) -> Address:
        row = self._locked(address_id)
        if row.state != UNCONFIRMED:
            raise Conflict("notice/not-waiting", f"The address {address_id} waits for no code: it is {row.state}.")
        return row

    def _locked(self, address_id: str) -> Address:
        row = self._uow.lock(addresses, (self._scope.tenant, address_id))
        if row is None:
            raise NotFound("notice/unknown-address", f"There is no address {address_id}.")
        return Address(*row)

    def _new_code(self, party: str) -> str:
        rows = self._uow.fetch(
            "SELECT COALESCE(SUM(codes), 0) FROM notice_addresses WHERE tenant = %s AND party = %s AND code_at > %s",
            (self._scope.tenant, party, self._scope.now_us - DAY_US),
        )
        if int(rows[0][0]) >= MAX_CODES_A_DAY:
            raise TooMany("notice/too-many-codes", "Too many codes were sent today: try again tomorrow.")
        number = int.from_bytes(self._open_keyring().entropy(16)) % 10**CODE_DIGITS
        return f"{number:0{CODE_DIGITS}d}"

    def _queue_code(self, address_id: str) -> None:
        scope = self._scope
        row = (scope.tenant, scope.new_id("cod"), address_id, QUEUED, 0, scope.now_us, scope.now_us, "")
        self._uow.insert(deliveries, row)

    def _activated(self, row: Address) -> None:
        scope = self._scope
        change_route(self._uow, scope.tenant, scope.now_us, row.party, row.id, row.kinds)
        # Everyone of the party is told, at the other addresses too: a stranger's address would not stay unseen.
        names = {MAIL: ("mail address", "邮箱地址"), WEBHOOK: ("webhook", " Webhook 地址")}
        english, chinese = names.get(row.channel, (row.channel, row.channel))
        Notices(scope).send(
            row.party, "address",
            (f"Notices also go to a new {english}", f"通知将同时发送至新的{chinese}"),
            (f"{scope.actor_id} registered it. End it in the inbox if nobody knows of it.",
             f"由 {scope.actor_id} 登记。如无人知晓，请在收件箱中停用。"), row.id,
        )  # fmt: skip

    def _seal(self, address_id: str, content: Content) -> bytes:
        return self._open_keyring().wrap(canonical(content._asdict()).encode(), _place(self._scope.tenant, address_id))

    def _open_keyring(self) -> Keyring:
        if self._keyring is None:
            raise Unavailable("notice/no-master-key", "This server keeps no master key for addresses.")
        return self._keyring


def _place(tenant: str, address_id: str) -> bytes:
    return f"notice-address\0{tenant}\0{address_id}".encode()
