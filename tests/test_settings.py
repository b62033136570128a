"""Settings: where a value comes from, what is said of a wrong one, and secrets that nobody else reads."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from entrepot.settings import Settings, SettingsError, load_settings


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / "entrepot.toml"


def given(toml: Path, text: str, **environment: str) -> dict[str, str]:
    toml.write_text(text, encoding="utf-8")
    return {
        "ENTREPOT_SETTINGS": str(toml),
        **{f"ENTREPOT_{name.upper()}": value for name, value in environment.items()},
    }


def test_the_environment_goes_over_the_file_and_the_file_over_the_default(toml: Path):
    settings = load_settings(given(toml, 'port = 9000\ntenant = "yantai"\n', port="9001"))
    assert (settings.port, settings.tenant, settings.host) == (9001, "yantai", "127.0.0.1")


def test_what_the_command_line_says_goes_over_all_and_nothing_said_changes_nothing(toml: Path):
    settings = load_settings(given(toml, "port = 9000", port="9001"), port=9002, tenant=None)
    assert (settings.port, settings.tenant) == (9002, "lanzhou")


def test_without_a_file_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    settings = load_settings({"ENTREPOT_DATA_DIR": str(tmp_path / "data")})
    assert settings.base_url == "http://127.0.0.1:8080"
    assert settings.resolved_database_url == f"sqlite:///{tmp_path / 'data' / 'entrepot.db'}"


@pytest.mark.parametrize(
    ("text", "environment", "named"),
    [
        ("port = 70000", {}, ["entrepot.toml", "65535"]),
        ("port = 9000", {"port": "many"}, ["ENTREPOT_PORT", "integer"]),
        ("", {"tenant": "Lan Zhou"}, ["ENTREPOT_TENANT", "pattern"]),
        ("ports = 9000", {}, ["entrepot.toml", "Extra inputs"]),
        ("port = = 1", {}, ["entrepot.toml", "line 1"]),
        ("", {"writers": "0", "max_body_bytes": "1"}, ["ENTREPOT_WRITERS", "ENTREPOT_MAX_BODY_BYTES", "greater"]),
    ],
)
def test_a_wrong_setting_says_which_and_why(toml: Path, text: str, environment: dict[str, str], named: list[str]):
    with pytest.raises(SettingsError) as refused:
        load_settings(given(toml, text, **environment))
    for part in named:
        assert part in str(refused.value)


def test_a_wrong_command_line_is_not_blamed_on_the_file(toml: Path):
    with pytest.raises(SettingsError) as refused:
        load_settings(given(toml, "port = 9000"), port=70000)
    assert str(refused.value).startswith("port: ")


def test_a_file_that_is_named_must_be_there_and_be_text(toml: Path):
    with pytest.raises(SettingsError, match="there is no file"):
        load_settings({"ENTREPOT_SETTINGS": str(toml)})
    toml.write_bytes(b"tenant = '\xff'")
    with pytest.raises(SettingsError, match=r"entrepot\.toml"):
        load_settings({"ENTREPOT_SETTINGS": str(toml)})


def test_a_secret_is_the_owners_alone_and_stays(tmp_path: Path):
    settings = Settings(data_dir=tmp_path / "data")
    secret = settings.secret("key")
    assert len(secret) == 32
    assert Settings(data_dir=tmp_path / "data").secret("key") == secret
    assert settings.secret("other") != secret
    folder = tmp_path / "data" / "secrets"
    assert stat.S_IMODE((folder / "key").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_those_who_race_for_a_secret_get_the_same_one(tmp_path: Path):
    with ThreadPoolExecutor(16) as pool:
        for name in (f"key-{number}" for number in range(20)):
            found = {f.result() for f in [pool.submit(Settings(data_dir=tmp_path).secret, name) for _ in range(16)]}
            assert len(found) == 1
    assert not list((tmp_path / "secrets").glob(".*")), "no half-written file remains"
