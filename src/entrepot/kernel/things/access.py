"""Who may do what on the broker. Pure; an outside broker is configured to the same rules.

- `entrepot`, the server, may use every topic;
- `<tenant>/<device>` may publish on its own `telemetry` topic and subscribe to its own `ack` and `command` topics.

A password is derived from the broker's secret, so that the embedded broker needs no list of devices.
"""

import base64
import hmac

SERVER_USER = "entrepot"


def broker_password(secret: bytes, user: str) -> str:
    """The password of a user of the embedded broker, base64url of an HMAC-SHA256."""
    return base64.urlsafe_b64encode(hmac.digest(secret, user.encode(), "sha256")).rstrip(b"=").decode()


def device_user(tenant: str, device: str) -> str:
    """The broker's user name of a device."""
    return f"{tenant}/{device}"


def may_publish(user: str, topic: str) -> bool:
    """Whether the user may publish on the topic."""
    return user == SERVER_USER or topic == f"entrepot/{user}/telemetry"


def may_subscribe(user: str, topic: str) -> bool:
    """Whether the user may subscribe to the topic or filter."""
    return user == SERVER_USER or topic in {f"entrepot/{user}/ack", f"entrepot/{user}/command"}
