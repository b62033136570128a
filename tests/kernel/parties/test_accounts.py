"""Passwords, lock-out and keys under attack, on both databases."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from entrepot.kernel.operations import Actor, Refusal, Unauthorised
from entrepot.kernel.parties.key_operations import CreateKey, ListCredentials, RevokeKey
from entrepot.kernel.parties.operations import LOCK_AFTER, ChangePassword, SignIn
from entrepot.kernel.parties.service import check_password
from tests.kernel.parties.firm import NOW, PASSWORD, Firm, code

NEW_PASSWORD = "battery horse correct"


def change(firm: Firm, actor: Actor, password: str, key: str) -> None:
    """Change Li Na's password as an actor."""
    request = ChangePassword(user_name="li.na", password=password, new_password=NEW_PASSWORD)
    try:
        firm.executor.run(request, actor, key)
    finally:
        firm.clock.move_to_us(firm.clock.now_us() + 1)


def test_hammering_a_closed_account_does_not_open_it(firm: Firm):
    for number in range(LOCK_AFTER):
        assert code(partial(firm.sign_in, "wrong password", f"bad-{number}")) == "sign-in/wrong"
        firm.clock.move_to_us(firm.clock.now_us() + 1)
    for number in range(25):
        assert code(partial(firm.sign_in, "wrong password", f"more-{number}")) == "sign-in/locked"
        firm.clock.move_to_us(firm.clock.now_us() + 1)
    assert code(lambda: firm.sign_in(key="right")) == "sign-in/locked"
    firm.clock.move_to(NOW + timedelta(minutes=16))
    assert firm.sign_in(), "the refusals of the closed account do not keep it closed"


def test_wrong_passwords_side_by_side_count_like_those_one_after_the_other(firm: Firm):
    def attempt(number: int) -> str:
        request = SignIn(user_name="li.na", password="wrong password")
        return code(lambda: firm.executor.run(request, Actor.anonymous("test"), f"side-{number}"))

    with ThreadPoolExecutor(12) as pool:
        codes = list(pool.map(attempt, range(24)))
    assert set(codes) == {"sign-in/wrong", "sign-in/locked"}
    assert LOCK_AFTER <= codes.count("sign-in/wrong") < LOCK_AFTER + firm.executor.writers
    assert code(lambda: firm.sign_in(key="right")) == "sign-in/locked"


def test_a_right_password_forgives_the_wrong_ones_before_it(firm: Firm):
    for turn in range(3):
        for number in range(LOCK_AFTER - 1):
            assert code(partial(firm.sign_in, "wrong password", f"{turn}-{number}")) == "sign-in/wrong"
            firm.clock.move_to_us(firm.clock.now_us() + 1)
        assert firm.sign_in(key=f"right-{turn}")


def test_an_unknown_user_takes_as_long_as_a_wrong_password(firm: Firm):
    def shortest_s(user_name: str) -> float:
        taken = []
        for _ in range(12):
            with firm.runtime.database.reader() as uow:
                started = time.thread_time()
                assert check_password(uow, "test", user_name, "wrong password") == ""
                taken.append(time.thread_time() - started)
        return min(taken)

    known, unknown = shortest_s("li.na"), shortest_s("nobody")
    assert 0.5 < known / unknown < 2


def test_accounts_and_tokens_belong_to_one_tenant(firm: Firm):
    request = SignIn(user_name="li.na", password=PASSWORD)
    with pytest.raises(Unauthorised):
        firm.executor.run(request, Actor.anonymous("elsewhere"), "in")
    assert firm.resolver.actor(firm.sign_in()).tenant == "test"


def test_a_changed_password_ends_the_other_sessions_and_leaves_the_keys(firm: Firm):
    mine, other = firm.sign_in(), firm.sign_in()
    actor = firm.resolver.actor(mine)
    firm.resolver.actor(other)
    key = firm.executor.run(CreateKey(scopes=["trade:do"]), actor, "key").token
    change(firm, actor, PASSWORD, "change")
    assert firm.resolver.actor(mine).id == firm.person
    assert firm.resolver.actor(key).scopes == {"trade:do"}
    assert code(lambda: firm.resolver.actor(other)) == "sign-in/revoked"
    assert code(lambda: firm.sign_in(key="old")) == "sign-in/wrong"
    firm.clock.move_to_us(firm.clock.now_us() + 1)
    assert firm.sign_in(NEW_PASSWORD)


def test_a_password_is_changed_by_its_holder_who_knows_it(firm: Firm):
    actor = firm.resolver.actor(firm.sign_in())
    assert code(lambda: change(firm, replace(actor, id="per_other"), PASSWORD, "other")) == "sign-in/wrong"
    assert firm.sign_in()
    for number in range(LOCK_AFTER):
        assert code(partial(change, firm, actor, "wrong password", f"c-{number}")) == "sign-in/wrong"
    assert code(lambda: change(firm, actor, PASSWORD, "locked")) == "sign-in/locked"
    with firm.runtime.database.reader() as uow:
        written = "".join(row[0] for row in uow.read("SELECT data FROM events"))
    assert PASSWORD not in written
    assert NEW_PASSWORD not in written


def test_keys_are_listed_without_their_tokens_until_they_end(firm: Firm):
    token = firm.sign_in()
    actor = firm.resolver.actor(token)
    short = firm.executor.run(CreateKey(scopes=["trade:do"], days=1), actor, "short")
    long = firm.executor.run(CreateKey(scopes=["trade:do"], days=30), actor, "long")
    listed = firm.executor.run(ListCredentials(), actor)
    assert {c.id for c in listed.credentials} == {actor.session, short.id, long.id}
    assert [c.id for c in listed.credentials if c.current] == [actor.session]
    for secret in (token, short.token, long.token):
        assert secret not in listed.model_dump_json()
    firm.clock.move_to(NOW + timedelta(days=2))
    assert [c.id for c in firm.executor.run(ListCredentials(), actor).credentials] == [long.id]
    firm.executor.run(RevokeKey(credential_id=long.id), actor, "revoke")
    assert firm.executor.run(ListCredentials(), actor).credentials == []
    assert firm.executor.run(ListCredentials(), replace(actor, id="per_other")).credentials == []


def test_a_key_creates_no_key(firm: Firm):
    actor = firm.resolver.actor(firm.sign_in())
    made = firm.executor.run(CreateKey(scopes=["parties:self"]), actor, "first")
    with_key = firm.resolver.actor(made.token)
    assert code(lambda: firm.executor.run(CreateKey(scopes=["parties:self"]), with_key, "second")) == "key/by-key"


def test_a_token_that_is_asked_for_all_the_time_is_refused_from_its_revocation_on(firm: Firm):
    actor = firm.resolver.actor(firm.sign_in())
    ended = threading.Event()

    def ask_on(token: str) -> None:
        while not ended.is_set():
            try:
                firm.resolver.actor(token)
            except Refusal:
                return

    for number in range(15):
        made = firm.executor.run(CreateKey(scopes=["trade:do"]), actor, f"made-{number}")
        with ThreadPoolExecutor(3) as pool:
            asking = [pool.submit(ask_on, made.token) for _ in range(3)]
            firm.executor.run(RevokeKey(credential_id=made.id), actor, f"gone-{number}")
            assert code(partial(firm.resolver.actor, made.token)) == "sign-in/revoked"
            try:
                for future in asking:
                    future.result(timeout=20)
            finally:
                ended.set()
            ended.clear()
        assert code(partial(firm.resolver.actor, made.token)) == "sign-in/revoked"


def test_a_role_that_begins_later_does_not_reach_into_an_old_session(firm: Firm):
    token = firm.sign_in()
    firm.grant(firm.person, "audit_admin", valid_from=NOW + timedelta(hours=1))
    assert "events:read" not in firm.resolver.actor(token).scopes
    firm.clock.move_to(NOW + timedelta(hours=1))
    assert "events:read" in firm.resolver.actor(token).scopes
