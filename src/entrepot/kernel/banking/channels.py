"""What a bank channel does, and the one over HTTP.

A payment is instructed under our own identifier, which the bank answers idempotently. Its state is `pending`,
`confirmed`, `failed` or `returned`; only `pending` may change.
"""

from typing import Any, Protocol

import httpx

Json = dict[str, Any]
STATES = frozenset({"pending", "confirmed", "failed", "returned"})
TIMEOUT_S = 5.0


class BankUnreachable(RuntimeError):
    """The bank did not answer; the same call may be made again."""


class BankChannel(Protocol):
    """A way to a bank."""

    def instruct(self, instruction_id: str, payment: Json) -> Json:
        """Instruct `payment` {amount_minor, currency, debtor, creditor} once: {"state": …, "reference": …}."""
        ...

    def status(self, instruction_id: str) -> Json:
        """How the payment stands: {"state": …, "reference": …}."""
        ...


class NoBank:
    """No bank is configured: everything stays pending with the instructing side."""

    def instruct(self, instruction_id: str, payment: Json) -> Json:
        """Raises BankUnreachable."""
        raise BankUnreachable("no bank channel is configured: set ENTREPOT_BANK_URL")

    def status(self, instruction_id: str) -> Json:
        """Raises BankUnreachable."""
        raise BankUnreachable("no bank channel is configured: set ENTREPOT_BANK_URL")


class HttpBank:
    """A bank that speaks JSON over HTTP: POST /payments, GET /payments/{id}."""

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._client = httpx.Client(base_url=url.rstrip("/"), timeout=timeout_s)

    def instruct(self, instruction_id: str, payment: Json) -> Json:
        """Raises BankUnreachable when there was no clear answer, ValueError when the bank refuses the message."""
        return self._ask("POST", "/payments", {"instruction_id": instruction_id, **payment})

    def status(self, instruction_id: str) -> Json:
        """Raises BankUnreachable when there was no clear answer."""
        return self._ask("GET", f"/payments/{instruction_id}", None)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _ask(self, method: str, path: str, body: Json | None) -> Json:
        try:
            response = self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise BankUnreachable(f"{method} {path}: {error}") from error
        if response.status_code >= 500 or response.status_code == 429:
            raise BankUnreachable(f"{method} {path}: {response.status_code}")
        if response.status_code >= 400:
            raise ValueError(f"the bank refused {path}: {response.status_code} {response.text[:200]}")
        answer = dict(response.json())
        if answer.get("state") not in STATES:
            raise BankUnreachable(f"{method} {path}: an answer without a known state")
        return {"state": answer["state"], "reference": str(answer.get("reference", ""))}
