"""The embedded MQTT broker: amqtt in a child process that dies with its parent and is started again when it dies.

For one machine: it listens on the loopback interface and keeps nothing on disk; no reading is trusted to it. In
production `ENTREPOT_MQTT_URL` names Mosquitto or EMQX, configured with the users and topic rules of `access`.
"""

import contextlib
import json
import logging
import socket
import subprocess
import sys
import threading
import time
from typing import IO
from urllib.parse import quote

from entrepot.kernel.things.access import SERVER_USER, broker_password

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0
RESTART_AFTER_S = (0.1, 0.5, 2.0, 5.0)

log = logging.getLogger(__name__)


class BrokerError(RuntimeError):
    """The embedded broker did not start."""


class EmbeddedBroker:
    """The broker child and the thread that keeps it alive. `port` 0 takes a free one, and keeps it over restarts."""

    def __init__(self, secret: bytes, port: int = 0, host: str = "127.0.0.1") -> None:
        self._secret = secret
        self.host = host
        self.port = port
        self.restarts = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._ended_at: float | None = None
        self._stopping = threading.Event()
        self._keeper: threading.Thread | None = None

    def start(self) -> "EmbeddedBroker":
        """Start the child and wait until it listens. Raises BrokerError."""
        for _ in range(1 if self.port else 5):
            port = self.port or _free_port(self.host)
            try:
                self._process = self._launch(port)
            except BrokerError:
                if self.port:
                    raise
                continue
            self.port = port
            self._keeper = threading.Thread(target=self._keep, name="broker-keeper", daemon=True)
            self._keeper.start()
            return self
        raise BrokerError("no free port was found for the broker")

    def stop(self) -> None:
        """Stop the child."""
        self._stopping.set()
        self._end()
        if self._keeper is not None:
            self._keeper.join(START_TIMEOUT_S)

    @property
    def down_s(self) -> float:
        """For how many seconds the child has been away; 0 while it runs."""
        ended_at = self._ended_at
        return 0.0 if ended_at is None else max(time.monotonic() - ended_at, 0.001)

    @property
    def pid(self) -> int:
        """Process id of the present child."""
        assert self._process is not None, "the broker was not started"
        return self._process.pid

    def url(self, user: str = SERVER_USER) -> str:
        """The address with the credentials of a user: the server's own, or `device_user(tenant, device)`."""
        return f"mqtt://{quote(user, safe='')}:{broker_password(self._secret, user)}@{self.host}:{self.port}"

    def __enter__(self) -> "EmbeddedBroker":
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _launch(self, port: int) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [sys.executable, "-m", "entrepot.kernel.things.broker_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C at the terminal reaches us first; the end of stdin ends the child
        )
        assert process.stdin is not None
        assert process.stdout is not None
        hello = {"host": self.host, "port": port, "secret": self._secret.hex()}
        with contextlib.suppress(OSError):
            process.stdin.write(json.dumps(hello).encode() + b"\n")
            process.stdin.flush()
        if _line_within(process.stdout, START_TIMEOUT_S) != b"ready\n":
            process.kill()
            _close(process)
            raise BrokerError(f"the embedded MQTT broker did not start on {self.host}:{port}; is the port taken?")
        return process

    def _keep(self) -> None:
        while not self._stopping.is_set():
            process = self._process
            assert process is not None
            code = process.wait()
            self._ended_at = time.monotonic()
            _close(process)
            if self._stopping.is_set():
                return
            self.restarts += 1
            wait_s = RESTART_AFTER_S[min(self.restarts - 1, len(RESTART_AFTER_S) - 1)]
            log.warning("the embedded broker ended (%s); it is started again in %.1f s", code, wait_s)
            while not self._stopping.wait(wait_s):
                try:
                    self._process = self._launch(self.port)
                    self._ended_at = None
                    break
                except BrokerError as error:
                    log.warning("%s", error)
            if self._stopping.is_set():
                self._end()

    def _end(self) -> None:
        process = self._process
        if process is None:
            return
        with contextlib.suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _close(process)


def _close(process: "subprocess.Popen[bytes]") -> None:
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def _line_within(stream: IO[bytes], timeout_s: float) -> bytes:
    """The next line, empty when there is none in time."""
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(stream.readline()), daemon=True)
    reader.start()
    reader.join(timeout_s)
    return found[0] if found else b""


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
