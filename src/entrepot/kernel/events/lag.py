"""How far sealing is behind."""

from entrepot.kernel.database import UnitOfWork


def unsealed_events(uow: UnitOfWork) -> tuple[int, int]:
    """How many events of all tenants wait to be sealed, and when the oldest was made (0 when none waits).

    Identifiers begin with the time of making, so that the smallest of a tenant is its oldest.
    """
    count, oldest_us = 0, 0
    for tenant, waiting, first in uow.read(
        "SELECT tenant, COUNT(*), MIN(row_id) FROM unsealed WHERE stream = %s GROUP BY tenant", ("events",)
    ):
        count += int(waiting)
        for (at_us,) in uow.read("SELECT at FROM events WHERE tenant = %s AND id = %s", (tenant, first)):
            oldest_us = min(oldest_us or int(at_us), int(at_us))
    return count, oldest_us
