"""Settings come from the environment (`ENTREPOT_…`), then from `entrepot.toml`, then from here."""

import os
import secrets
import tomllib
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator


class SettingsError(ValueError):
    """A setting is unknown or wrong; the message names it and where it came from."""


class Settings(BaseModel):
    """All settings, each also the environment variable `ENTREPOT_<NAME>`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path = Field(Path("var"), description="Folder of the SQLite database, telemetry, documents and keys")
    database_url: str = Field("", description="sqlite:////file or postgresql+psycopg://…; empty: SQLite in data_dir")
    telemetry_url: str = Field("", description="Where readings are kept; empty: beside the database")
    host: str = Field("127.0.0.1", description="Address that HTTP listens on")
    port: int = Field(8080, ge=0, le=65535, description="Port that HTTP listens on")
    public_url: str = Field("", description="How people reach this server; empty: http://host:port")
    tenant: str = Field("lanzhou", pattern=r"^[a-z][a-z0-9-]{0,31}$", description="Tenant of this server's doors")
    mqtt_url: str = Field("", description="An MQTT broker to use; empty: the embedded one is started")
    mqtt_port: int = Field(1883, ge=0, le=65535, description="Port of the embedded broker; 0: any free one")
    bank_url: str = Field("", description="HTTP address of the bank channel; empty: the demo starts its own")
    smtp_url: str = Field(
        "", repr=False,
        description="smtp://user:password@host:587 (STARTTLS), smtps://… or smtp+plain://…; empty: no notices by mail",
    )  # fmt: skip
    mail_from: str = Field("", description="Sender of notices by mail, such as Entrepot <notices@example.org>")
    webhooks: Literal["off", "public", "private"] = Field(
        "off", description="Notices by webhook: to public https addresses; private: to this machine and network too"
    )
    max_body_bytes: int = Field(1_048_576, ge=1024, description="Largest request body over HTTP")
    writers: int = Field(2, ge=1, le=64, description="Writer threads on PostgreSQL, one of them for what locks rows")
    oidc_issuer: str = Field("", description="OpenID Connect issuer; empty: local sign-in only")
    oidc_client_id: str = Field("", description="This server's client id at the issuer")
    oidc_client_secret: str = Field("", repr=False, description="This server's secret there; empty: a public client")
    oidc_name: str = Field("", max_length=60, description="What the sign-in page calls the issuer; empty: its host")
    rate_limits: bool = Field(True, description="Whether the doors limit the rate of each actor and address")
    trusted_proxies: str = Field(
        "", description="Reverse proxies whose X-Forwarded-For is believed: addresses or networks, separated by commas"
    )
    stall_limit_s: int = Field(
        60, ge=5, description="How long timers, sealing or workflows may stand still before /readyz says not ready"
    )
    traces: bool = Field(False, description="Whether spans of operations are written to traces.jsonl in data_dir")
    demo: bool = Field(False, description="Seed and run the demo region")

    @field_validator("smtp_url")
    @classmethod
    def _readable_smtp_url(cls, value: str) -> str:
        if value:
            from entrepot.kernel.notices.mail import SmtpServer  # only here: the terminal's commands start quickly

            SmtpServer.parse(value)
        return value

    @field_validator("mail_from")
    @classmethod
    def _readable_sender(cls, value: str) -> str:
        if value:
            from entrepot.kernel.notices.mail import parse_sender

            parse_sender(value)
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _readable_proxies(cls, value: str) -> str:
        for proxy in filter(None, (part.strip() for part in value.split(","))):
            try:
                ip_network(proxy)
            except ValueError as error:
                raise ValueError(f"{proxy!r} is no address and no network: {error}") from None
        return value

    @property
    def proxies(self) -> list[str]:
        """The reverse proxies that are believed."""
        return [part.strip() for part in self.trusted_proxies.split(",") if part.strip()]

    @property
    def resolved_database_url(self) -> str:
        """The database URL, the SQLite file of the data folder by default."""
        return self.database_url or f"sqlite:///{(self.data_dir / 'entrepot.db').resolve()}"

    @property
    def base_url(self) -> str:
        """How people reach this server."""
        return self.public_url or f"http://{self.host}:{self.port}"

    def secret(self, name: str, size: int = 32) -> bytes:
        """A secret kept in the data folder, readable by the owner alone; made on first use."""
        folder = self.data_dir / "secrets"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = folder / name
        if not file.exists():
            temporary = folder / f".{name}.{secrets.token_hex(4)}"
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                out.write(secrets.token_bytes(size))
                out.flush()
                os.fsync(out.fileno())
            try:
                os.link(temporary, file)  # the first of two processes wins
            except FileExistsError:
                pass
            finally:
                temporary.unlink()
        return file.read_bytes()


def load_settings(environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Settings from the environment and from `entrepot.toml` in the working folder. Raises SettingsError."""
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    file = Path(environment.get("ENTREPOT_SETTINGS", "entrepot.toml"))
    if "ENTREPOT_SETTINGS" in environment and not file.is_file():
        raise SettingsError(f"ENTREPOT_SETTINGS: there is no file {file}")
    if file.is_file():
        try:
            values.update(tomllib.loads(file.read_text(encoding="utf-8")))
        except ValueError as error:  # not TOML, or not UTF-8
            raise SettingsError(f"{file}: {error}") from None
        sources.update(dict.fromkeys(values, str(file)))
    for name in Settings.model_fields:
        variable = f"ENTREPOT_{name.upper()}"
        if variable in environment:
            values[name] = environment[variable]
            sources[name] = variable
    for name, value in overrides.items():
        if value is not None:
            values[name] = value
            sources.pop(name, None)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            name = ".".join(str(part) for part in problem["loc"])
            lines.append(f"{sources.get(name, name)}: {problem['msg']}")
        raise SettingsError("; ".join(lines)) from None
