"""The operator's local tokens: good in their folder until their time, forged ones never."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from entrepot import local_tokens
from entrepot.kernel.database import Database
from entrepot.kernel.operations import ManualClock, Registry, Unauthorised
from entrepot.kernel.parties.resolve import Resolver
from entrepot.settings import Settings

START = datetime(2026, 3, 1, 8, tzinfo=UTC)
NOW_US = int(START.timestamp()) * 1_000_000
MINUTE_US = 60_000_000


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(data_dir=tmp_path_factory.mktemp("operator"))


def test_a_token_says_who_and_until_when(settings: Settings):
    token = local_tokens.issue(settings, "per_li", "org_trader", NOW_US)
    assert local_tokens.reader(settings)(token) == ("lanzhou", "per_li", "org_trader", NOW_US)
    assert local_tokens.reader(settings)("es_" + token) is None


def test_a_token_of_another_folder_is_unknown(settings: Settings, tmp_path: Path):
    token = local_tokens.issue(Settings(data_dir=tmp_path), "per_li", "org_trader", NOW_US)
    assert local_tokens.reader(settings)(token) is None


def test_every_changed_character_is_found(settings: Settings):
    read = local_tokens.reader(settings)
    token = local_tokens.issue(settings, "per_li", "org_trader", NOW_US)
    for place in range(len(token)):
        for other in ("A", "b", ".", "é", ""):
            changed = token[:place] + other + token[place + 1 :]
            # The last character carries four bits that say nothing; the comparison is of the text, so it counts too.
            assert changed == token or read(changed) is None, changed


@given(st.text(max_size=60))
@example("é.é")
@example(".")
@example("")
@example("\ud800.\ud800")
def test_whatever_somebody_sends_is_only_unknown(settings: Settings, text: str):
    assert local_tokens.reader(settings)(local_tokens.PREFIX + text) is None


def test_a_claim_signed_by_nobody_is_refused(settings: Settings):
    claim = {"tenant": "lanzhou", "person": "per_admin", "organisation": "org_park", "until": NOW_US * 2}
    body = base64.urlsafe_b64encode(json.dumps(claim).encode()).decode().rstrip("=")
    for signature in ("", "AAAA", body):
        assert local_tokens.reader(settings)(f"el_{body}.{signature}") is None


def test_an_expired_token_opens_nothing(settings: Settings, database: Database):
    clock = ManualClock(START)
    resolver = Resolver(database, Registry(()), clock, (local_tokens.reader(settings),))
    token = local_tokens.issue(settings, "per_li", "org_trader", NOW_US + MINUTE_US)
    assert resolver.actor(token).id == "per_li"
    clock.move_to_us(NOW_US + MINUTE_US - 1)
    assert resolver.actor(token).id == "per_li"
    clock.move_to_us(NOW_US + MINUTE_US)
    for _ in range(2):
        with pytest.raises(Unauthorised) as refused:
            resolver.actor(token)
        assert refused.value.code == "sign-in/expired"
    with pytest.raises(Unauthorised):
        resolver.actor(token[:-2])
