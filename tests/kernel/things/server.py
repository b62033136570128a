"""A small server for crash tests: `python -m tests.kernel.things.server DATABASE_URL MQTT_URL`, killed at any moment.

It consumes from an outside broker, prints "ready" once it is subscribed, and runs until it is killed.
"""

import asyncio
import sys

from entrepot.kernel.database import open_database
from tests.kernel.things.support import Server


async def main() -> None:
    database = open_database(sys.argv[1])
    server = Server(database, mqtt_url=sys.argv[2])
    with server.executor:
        await server.telemetry.start(server.executor)
        await server.telemetry.until_connected()
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
