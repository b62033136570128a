"""What a bank channel does, and the one over HTTP.

A payment is instructed under our own identifier, which the bank answers idempotently. Its state is `pending`,
`confirmed`, `failed` or `returned`; only `pending` may change. Errors divide in two: BankUnreachable leaves open
whether the payment was taken, so the same call is made again; BankRefused says that it was not, and will not be.
"""

from typing import Any, Protocol

import httpx

Json = dict[str, Any]
STATES = frozenset({"pending", "confirmed", "failed", "returned"})
TIMEOUT_S = 5.0
REFUSALS = frozenset({400, 409, 413, 422})


class BankUnreachable(RuntimeError):
    """The bank gave no clear answer; the same call may be made again."""


class BankRefused(ValueError):
    """The bank does not take this message; making the call again changes nothing."""

    final = True


class BankChannel(Protocol):
    """A way to a bank."""

    def instruct(self, instruction_id: str, payment: Json) -> Json:
        """Instruct `payment` {amount_minor, currency, debtor, creditor} once: {"state": …, "reference": …}.

        Raises BankUnreachable; BankRefused when the id stands for another payment already. A message that the bank
        finds wrong is a payment that failed.
        """
        ...

    def status(self, instruction_id: str) -> Json:
        """How the payment stands: {"state": …, "reference": …}. Raises BankUnreachable."""
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
        """See BankChannel."""
        response = self._ask("POST", "/payments", {"instruction_id": instruction_id, **payment})
        if response.status_code == 409:
            raise BankRefused(f"{instruction_id} stands for another payment at the bank: {response.text[:200]}")
        if response.status_code in REFUSALS:
            return {"state": "failed", "reference": "", "reason": response.text[:200]}
        return _answer(response)

    def status(self, instruction_id: str) -> Json:
        """See BankChannel."""
        return _answer(self._ask("GET", f"/payments/{instruction_id}", None))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _ask(self, method: str, path: str, body: Json | None) -> httpx.Response:
        try:
            return self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise BankUnreachable(f"{method} {path}: {type(error).__name__} {error}") from error


def _answer(response: httpx.Response) -> Json:
    # A 401 or 404 is a fault of the configuration or of the bank, not of this payment: it may pass.
    asked = f"{response.request.method} {response.request.url.path}"
    if response.status_code >= 400:
        raise BankUnreachable(f"{asked}: {response.status_code} {response.text[:200]}")
    try:
        answer = dict(response.json())
    except (ValueError, TypeError) as error:
        raise BankUnreachable(f"{asked}: an answer that is not JSON") from error
    if str(answer.get("state")) not in STATES:
        raise BankUnreachable(f"{asked}: an answer without a known state")
    return {"state": answer["state"], "reference": str(answer.get("reference", ""))}
