"""The vault: purpose, consent, retention, export; erasure after which the chain still verifies."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrepot.kernel.database import UnitOfWork
from entrepot.kernel.database.schema import from_us
from entrepot.kernel.events import verify_chain
from entrepot.kernel.operations import Conflict, Forbidden, Invalid, NotFound, Refusal, Request, Unavailable
from entrepot.kernel.signing import Keyring
from entrepot.kernel.vault import Vault, verify_vault
from entrepot.kernel.vault.operations import (
    ErasePerson,
    ExportData,
    GiveConsent,
    ListConsents,
    ListFields,
    WithdrawConsent,
)
from entrepot.kernel.vault.rules import category_of, commitment_of, needs_separate_consent
from tests.kernel.probe import Reveal, StoreField
from tests.kernel.world import SCOPES, TENANT, World

NAME = "李娜 Li Na"
DAY_US = 86_400_000_000


def store(
    world: World, field: str = "name", value: str = NAME, purpose: str = "contract", person: str = "per_li"
) -> str:
    return world.run(StoreField(person_id=person, field=field, purpose=purpose, value=value)).id


def reveal(world: World, field: str = "name", purpose: str = "contract", person: str = "per_li") -> str:
    return world.run(Reveal(person_id=person, field=field, purpose=purpose)).value


def differences(world: World) -> list[object]:
    with world.database.reader() as uow:
        return [*verify_vault(uow, TENANT), *verify_chain(world.database, TENANT)]


def everything_stored(world: World) -> bytes:
    """Every value of every table, as bytes: what somebody with the whole database sees."""
    found = b""
    with world.database.reader() as uow:
        for table in _tables(uow):
            for row in uow.read(f'SELECT * FROM "{table}"'):
                found += b"|".join(
                    bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode() for value in row
                )
    return found


def _tables(uow: UnitOfWork) -> list[str]:
    from entrepot.kernel.database import metadata

    return sorted(metadata.tables)


def test_a_field_comes_back_for_its_purpose_only_and_the_reading_is_logged(world: World) -> None:
    commitment = store(world)
    assert len(commitment) == 64
    assert reveal(world) == NAME
    for purpose in ("marketing", "Contract"):
        with pytest.raises(Forbidden, match="not kept for"):
            reveal(world, purpose=purpose)
    with pytest.raises(NotFound):
        reveal(world, field="address")
    with pytest.raises(NotFound):
        reveal(world, person="per_other")
    with world.database.reader() as uow:
        rows = uow.read("SELECT subject, data FROM events WHERE type = 'vault.revealed'")
    assert [(subject, '"by":"li"' in data) for subject, data in rows] == [("per_li", True)]


def test_the_database_never_holds_a_value_in_the_clear(world: World) -> None:
    store(world, value="a-very-particular-value")
    reveal(world)
    world.run(ExportData(person_id="per_li"), "per_li")
    assert b"a-very-particular-value" not in everything_stored(world)


def test_the_latest_value_counts_and_every_commitment_stays(world: World) -> None:
    first, second = store(world, value="old"), store(world, value="new")
    other = store(world, value="for the tax office", purpose="real-name-tax")
    assert len({first, second, other}) == 3
    assert reveal(world) == "new"
    assert reveal(world, purpose="real-name-tax") == "for the tax office"
    with world.unit() as (_, scope):
        made = Vault(scope).commitments("per_li")
    assert {entry[2] for entry in made} == {first, second, other}
    assert differences(world) == []


def test_after_erasure_nothing_can_be_read_and_everything_verifies(world: World) -> None:
    store(world)
    store(world, field="phone", value="13800000000")
    store(world, person="per_wang", value="Wang")
    world.seal()
    assert world.run(ErasePerson(person_id="per_li"), "per_li").erased_fields == 2
    for attempt in (
        lambda: reveal(world),
        lambda: store(world),
        lambda: world.run(ExportData(person_id="per_li"), "per_li"),
        lambda: world.run(ErasePerson(person_id="per_li"), "per_li"),
        lambda: world.run(GiveConsent(person_id="per_li", purpose="face-payment"), "per_li"),
    ):
        with pytest.raises(Refusal):
            attempt()
    assert reveal(world, person="per_wang") == "Wang"
    assert differences(world) == []
    world.seal()
    assert differences(world) == []
    with world.unit() as (uow, scope):
        assert len(Vault(scope).commitments("per_li")) == 2, "commitments stay"
        assert uow.fetch("SELECT person FROM vault_fields") == [("per_wang",)]
        ((wrapped, erased_at),) = uow.fetch("SELECT wrapped, erased_at FROM vault_keys WHERE person = 'per_li'")
        assert (bytes(wrapped), erased_at > 0) == (b"", True)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_erased_key_is_gone_from_the_file_of_sqlite(world: World, tmp_path: Path) -> None:
    store(world)
    with world.unit() as (uow, _):
        ((wrapped,),) = uow.fetch("SELECT wrapped FROM vault_keys")
        ((ciphertext,),) = uow.fetch("SELECT ciphertext FROM vault_fields")

    def on_disk() -> bytes:
        raw = world.database.engine.raw_connection()
        raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        raw.close()
        return (tmp_path / "entrepot.db").read_bytes()

    before = on_disk()
    assert bytes(wrapped) in before
    assert bytes(ciphertext) in before
    world.run(ErasePerson(person_id="per_li"), "per_li")
    after = on_disk()
    assert bytes(wrapped) not in after
    assert bytes(ciphertext) not in after


def test_changed_vault_rows_are_found(world: World) -> None:
    store(world)
    world.seal()
    tampering = {
        "UPDATE vault_commitments SET commitment = 'x'": {"its content was changed", "which was never made"},
        "UPDATE vault_commitments SET person = 'per_x'": {"its content was changed", "which was never made"},
        "UPDATE vault_commitments SET hash = ''": {"its content was changed", "its hash is not the sealed one"},
        "DELETE FROM vault_commitments": {"was removed although it is sealed", "which was never made"},
        "UPDATE vault_fields SET commitment = 'x'": {"which was never made"},
        "DELETE FROM vault_keys": {"has fields but no key"},
    }
    for sql, expected in tampering.items():
        with world.database.unit() as uow:
            uow.execute(sql)
            found = {what.rpartition(", ")[2] for _, what in verify_vault(uow, TENANT)}
            assert found == expected, sql
            uow.rollback()
            uow.begin()
    assert differences(world) == []


def test_a_ciphertext_moved_elsewhere_does_not_open(world: World) -> None:
    store(world)
    store(world, field="phone", value="13800000000")
    with world.database.unit() as uow:
        uow.execute(
            "UPDATE vault_fields SET ciphertext = (SELECT ciphertext FROM vault_fields WHERE field = 'phone') "
            "WHERE field = 'name'"
        )
    with pytest.raises(Conflict, match="cannot be read"):
        reveal(world)


@pytest.mark.parametrize(("field", "category"), [("face.template", "face"), ("voice_print", "voice"),
                                                 ("identity_card_image", "identity")])  # fmt: skip
def test_face_voice_and_papers_need_their_own_consent(world: World, field: str, category: str) -> None:
    assert category_of(field) == category
    with pytest.raises(Forbidden, match="separate consent"):
        store(world, field=field, purpose="face-payment")
    consent = {"person_id": "per_li", "purpose": "face-payment"}
    world.run(GiveConsent(**consent), "per_li")  # type: ignore[arg-type]
    with pytest.raises(Forbidden, match="separate consent"):
        store(world, field=field, purpose="face-payment")
    given = world.run(GiveConsent(**consent, category=category), "per_li")  # type: ignore[arg-type]
    assert given.active
    assert world.run(GiveConsent(**consent, category=category), "per_li").id == given.id  # type: ignore[arg-type]
    store(world, field=field, purpose="face-payment")
    assert reveal(world, field=field, purpose="face-payment") == NAME

    ended = world.run(WithdrawConsent(**consent, category=category), "per_li")
    assert ended.deleted_fields == 1
    for attempt in (reveal, store):
        with pytest.raises(Refusal):
            attempt(world, field=field, purpose="face-payment")
    with pytest.raises(NotFound):
        world.run(WithdrawConsent(**consent, category=category), "per_li")
    assert [entry.active for entry in world.run(ListConsents(person_id="per_li"), "per_li").consents] == [True, False]
    assert differences(world) == []


def test_a_duty_of_the_law_needs_no_consent_and_keeps_its_fields_from_erasure(world: World) -> None:
    assert not needs_separate_consent("identity_paper", "customer-due-diligence")
    until = world.clock.now_us() + 10 * 365 * DAY_US
    with world.unit() as (_, scope):
        Vault(scope, world.keyring).store(
            "per_li", "identity_paper", "scan", "customer-due-diligence", retention_until_us=until
        )
    with pytest.raises(Conflict, match="customer-due-diligence"):
        world.run(ErasePerson(person_id="per_li"), "per_li")
    world.clock.move_to_us(until)
    assert world.run(ErasePerson(person_id="per_li"), "per_li").erased_fields == 1


def test_a_consent_ends_by_itself(world: World) -> None:
    until = from_us(world.clock.now_us()) + timedelta(hours=1)
    world.run(GiveConsent(person_id="per_li", purpose="face-payment", category="face", valid_until=until), "per_li")
    store(world, field="face", purpose="face-payment")
    world.clock.move_to(until)
    with pytest.raises(Forbidden):
        reveal(world, field="face", purpose="face-payment")


def test_retention_ends_and_is_listed(world: World) -> None:
    until = world.clock.now_us() + DAY_US
    with world.unit() as (_, scope):
        vault = Vault(scope, world.keyring)
        vault.store("per_li", "name", NAME, "contract", retention_until_us=until)
        vault.store("per_li", "phone", "138", "contract")
        assert vault.expired() == []
        with pytest.raises(Invalid):
            vault.store("per_li", "name", NAME, "contract", retention_until_us=1)
    world.clock.move_to_us(until)
    with pytest.raises(Forbidden, match="no longer"):
        reveal(world)
    with world.unit() as (_, scope):
        vault = Vault(scope, world.keyring)
        (over,) = vault.expired()
        assert (over.person, over.field) == ("per_li", "name")
        vault.drop(over.person, over.field, over.purpose)
        assert vault.expired() == []
    assert differences(world) == []


def test_a_person_gets_a_copy_of_everything_and_nobody_else_does(world: World) -> None:
    store(world)
    store(world, field="phone", value="138")
    export = world.run(ExportData(person_id="per_li"), "per_li")
    assert export.fields == [
        {"field": "name", "purpose": "contract", "value": NAME},
        {"field": "phone", "purpose": "contract", "value": "138"},
    ]
    assert {kept.field for kept in world.run(ListFields(person_id="per_li"), "per_li").fields} == {"name", "phone"}
    requests: list[Request[Any]] = [
        ExportData(person_id="per_li"), ErasePerson(person_id="per_li"), ListFields(person_id="per_li")
    ]  # fmt: skip
    for request in requests:
        with pytest.raises(Forbidden):
            world.run(request, "per_eve", "org_eve")
    officer = world.actor("per_officer", "org_region", SCOPES | {"vault:act_for"})
    assert world.executor.run(ExportData(person_id="per_li"), officer, key="officer").count == 2
    with world.database.reader() as uow:
        rows = uow.read("SELECT data FROM events WHERE type IN ('vault.export', 'vault.exported')")
        stored = uow.read("SELECT answer FROM answered WHERE operation = 'vault.export'")
    assert len(rows) == 5, "two exports leave two events each, the refused one leaves one"
    assert not any(NAME in row[0] for row in [*rows, *stored])


def test_without_the_master_key_nothing_is_read_or_stored(world: World) -> None:
    store(world)
    with world.unit() as (_, scope):
        for vault in (Vault(scope), Vault(scope, Keyring(b"x" * 32))):
            with pytest.raises(Unavailable):
                vault.reveal("per_li", "name", "contract")
        with pytest.raises(Unavailable):
            Vault(scope).store("per_li", "name", "x", "contract")


@pytest.mark.parametrize("cipher", ["aes-256-gcm", "sm4-gcm"])
def test_a_new_master_key_takes_over(world: World, cipher: str) -> None:
    store(world)
    rotated = Keyring(b"n" * 32, (b"m" * 32,), cipher=cipher)  # type: ignore[arg-type]
    with world.unit() as (_, scope):
        assert Vault(scope, rotated).rewrap() == 1
        assert Vault(scope, rotated).rewrap() == 0
    with world.unit() as (_, scope):
        only_new = Vault(scope, Keyring(b"n" * 32, cipher=cipher))  # type: ignore[arg-type]
        assert only_new.reveal("per_li", "name", "contract") == NAME
        only_new.store("per_zhao", "name", "赵", "contract")
        assert only_new.reveal("per_zhao", "name", "contract") == "赵"
        assert only_new.matches("per_zhao", "name", "contract", "赵")
        assert not only_new.matches("per_zhao", "name", "contract", "钱")


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.text(max_size=200), field=st.sampled_from(["name", "phone", "home.address"]))
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_any_text_comes_back(world: World, value: str, field: str) -> None:
    with world.unit() as (_, scope):
        vault = Vault(scope, world.keyring)
        vault.store("per_any", field, value, "contract")
        assert vault.reveal("per_any", field, "contract") == value


def test_malformed_names_are_refused(world: World) -> None:
    for field, purpose in (
        ("", "contract"), ("Name", "contract"), ("a.b.c", "contract"), ("name", ""), ("name", "a b"),
        ("x" * 100, "contract"), ("name\0", "contract"),
    ):  # fmt: skip
        with pytest.raises(Invalid):
            store(world, field=field, purpose=purpose)


@given(st.lists(st.text(max_size=4), min_size=5, max_size=5), st.lists(st.text(max_size=4), min_size=5, max_size=5))
def test_commitments_of_different_things_differ(one: list[str], other: list[str]) -> None:
    def made(parts: list[str]) -> str:
        return commitment_of(parts[0], parts[1], parts[2], parts[3], b"s" * 32, parts[4])

    assert (made(one) == made(other)) == (one == other)
