"""The embedded broker's process: amqtt with our users and topic rules. Started by `broker.EmbeddedBroker` only.

It serves until standard input ends; the operating system closes that pipe however the parent ends, so no broker
outlives its server. Known limit of amqtt: a client that presents another's client identifier disconnects the other
before its own password is looked at; the listener is therefore kept on the loopback interface.
"""

import asyncio
import contextlib
import hmac
import json
import logging
import os
import sys
from collections.abc import Coroutine
from typing import Any

from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import Action
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin

from entrepot.kernel.things.access import broker_password, may_publish, may_subscribe

MAX_READ_BYTES = 1 << 20


class BoundedReader(StreamReaderAdapter):  # type: ignore[misc]
    """amqtt reads a packet of any announced length at once: refuse more than a telemetry message could ever need."""

    async def read(self, n: int = -1) -> bytes:
        """The next `n` bytes. Raises ConnectionError, which ends the connection."""
        if n > MAX_READ_BYTES:
            raise ConnectionError("the packet is too large")
        return bytes(await super().read(n))


class ContainedBroker(Broker):  # type: ignore[misc]
    """What one client sends is that client's affair alone: an unforeseen error ends its connection, nothing else."""

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        """Serve one connection to its end."""
        with contextlib.suppress(Exception):
            await self._client_connected(listener_name, BoundedReader(reader), StreamWriterAdapter(writer))
        writer.close()


class Users(BaseAuthPlugin):  # type: ignore[misc]
    """Sign-in with the derived password."""

    secret = b""

    async def authenticate(self, *, session: Any) -> bool:
        """Whether user and password belong together."""
        user, password = session.username or "", session.password or ""
        return hmac.compare_digest(broker_password(self.secret, user).encode(), password.encode())


class Topics(BaseTopicPlugin):  # type: ignore[misc]
    """Each device keeps to its own topics."""

    async def topic_filtering(
        self, *, session: Any = None, topic: str | None = None, action: Action | None = None
    ) -> bool:
        """Whether the session may do this; what may be subscribed to may be received."""
        user = (session.username if session is not None else "") or ""
        if action == Action.PUBLISH:
            return may_publish(user, topic or "")
        return action == Action.RECEIVE or may_subscribe(user, topic or "")


async def _serve(host: str, port: int) -> None:
    config = {
        "listeners": {"default": {"type": "tcp", "bind": f"{host}:{port}"}},
        "plugins": {f"{__name__}.Users": {}, f"{__name__}.Topics": {}},
    }
    await ContainedBroker(config).start()
    print("ready", flush=True)  # noqa: T201 - the parent waits for this line
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
    os._exit(0)  # not stopped in order: nothing is kept here, and an orderly stop waits for every client


def _run(serving: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        asyncio.run(serving)
    else:
        uvloop.run(serving)


def main() -> None:
    """Serve as the first line of standard input says: {"host", "port", "secret"}."""
    for name in ("amqtt", "transitions", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    said = json.loads(sys.stdin.buffer.readline())
    Users.secret = bytes.fromhex(said["secret"])
    _run(_serve(said["host"], said["port"]))


if __name__ == "__main__":
    main()
