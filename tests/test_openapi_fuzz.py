"""Bad input over the whole API description: no 500, no undocumented answer, and the world still stands afterwards."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from entrepot.app import Entrepot, installed_systems
from entrepot.kernel.ledger import verify
from entrepot.kernel.operations import Actor, Unauthorised
from entrepot.kernel.operations.errors import Refusal
from entrepot.region.seed import cast_of, manifest, seed_parties, seed_tank
from entrepot.settings import load_settings
from entrepot.web import build_web

EXAMPLES = int(os.environ.get("ENTREPOT_FUZZ_EXAMPLES", "3"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


class Fuzzed:
    """The whole application without a broker, where the token "everything" may do everything."""

    def __init__(self, url: str, folder: Path) -> None:
        options = load_settings({}, data_dir=folder, database_url=url, rate_limits=False, mqtt_port=0)
        self.application = Entrepot(options, systems=[*installed_systems(), manifest])
        self.application.database.create_all()
        self.application.executor.start()
        cast = cast_of(self.application.executor, "lanzhou")
        seed_parties(cast, "a long enough password")
        seed_tank(cast, b"\x01" * 32)
        self.everything = replace(cast.actor("per_chen"), scopes=self.application.registry.scopes | {"parties:self"})
        self.application.resolver.actor = self._actor  # type: ignore[method-assign]
        self.web = build_web(self.application, console=False)

    def _actor(self, token: str) -> Actor:
        if token == "everything":
            return self.everything
        raise Unauthorised("sign-in/unknown-token", "This token is unknown; sign in again.")

    def close(self) -> None:
        """Stop what was started."""
        self.application.executor.stop()
        self.application.telemetry.close()
        self.application.close()


@pytest.fixture
def fuzzed(database_url: str, tmp_path: Path) -> Iterator[Fuzzed]:
    running = Fuzzed(database_url, tmp_path)
    yield running
    running.close()


@pytest.mark.slow
@pytest.mark.timeout(400 + 100 * EXAMPLES)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
# The writer threads draw from their own generators while an example is made; Hypothesis takes it for its own.
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")
def test_no_input_breaks_an_operation(fuzzed: Fuzzed, mode: GenerationMode):
    schema = schemathesis.openapi.from_asgi("/openapi.json", fuzzed.web)
    tried = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), "the API description holds no broken operation"
        operation = found.ok()

        @settings(
            max_examples=EXAMPLES,
            database=None,
            derandomize=True,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def attack(case: "schemathesis.Case[Any]") -> None:
            nonlocal tried
            tried += 1
            for headers in ({"Authorization": "Bearer everything"}, {}):
                case.call_and_validate(checks=CHECKS, headers=headers)

        with contextlib.suppress(Unsatisfiable):  # a request without fields cannot be wrong
            attack()
    assert tried > len(list(fuzzed.application.registry))
    now_us = fuzzed.application.clock.now_us()
    assert verify(fuzzed.application.database, "lanzhou", now_us) == []


NASTY = [
    b"",
    b"\xff\xfe\x00",
    b"[]",
    b"null",
    b'"text"',
    b"{",
    b'{"series": "a\\u0000b"}',
    b'{"series": "\\ud800"}',
    b'{"series": 12345678901234567890123456789}',
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'{"series": NaN}',
    b'{"series": 1e400}',
]


def test_nasty_bodies_are_refused_in_words(fuzzed: Fuzzed):
    from starlette.testclient import TestClient

    client = TestClient(fuzzed.web, raise_server_exceptions=False)
    headers = {"authorization": "Bearer everything", "idempotency-key": "n", "content-type": "application/json"}
    for operation in fuzzed.application.registry:
        if operation.method == "GET" or "{" in operation.path:
            continue
        path = f"/v1/{operation.system}{operation.path}"
        for body in NASTY:
            answer = client.request(operation.method, path, content=body, headers=headers)
            assert answer.status_code < 500 or answer.status_code == 503, f"{path} {body[:40]!r}: {answer.text[:300]}"


def test_texts_that_a_database_cannot_keep_are_refused_at_the_door(fuzzed: Fuzzed):
    from entrepot.kernel.notices.operations import MarkRead
    from entrepot.kernel.parties.operations import SignIn

    anonymous = Actor.anonymous("lanzhou")
    for nasty in ("a\x00b", "\ud800"):
        with pytest.raises((Refusal, ValueError)):
            fuzzed.application.executor.run(SignIn(user_name=nasty, password="x" * 12), anonymous, f"n{len(nasty)}")
        with pytest.raises((Refusal, ValueError)):
            fuzzed.application.executor.run(MarkRead(notice_id=nasty), fuzzed.everything, f"m{len(nasty)}")
