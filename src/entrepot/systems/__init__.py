"""The systems: one folder each, all of the same shape; a system sees of another only its contract."""

import importlib
import pkgutil
from collections.abc import Sequence

from entrepot.kernel.operations import Registry, System

KERNEL = (
    "parties", "events", "ledger", "signing", "vault", "documents", "casework", "timers", "notices", "reference",
    "things",
)  # fmt: skip

KERNEL_TABLES = ("operations", "workflows")  # of parts without operations


def kernel_systems() -> list[System]:
    """The manifests of the kernel's own operations."""
    return [importlib.import_module(f"entrepot.kernel.{name}.manifest").manifest for name in KERNEL]


def installed_systems() -> list[System]:
    """The manifests of every folder under `entrepot.systems`: a new system needs no registration."""
    return [
        importlib.import_module(f"entrepot.systems.{module.name}").manifest for module in pkgutil.iter_modules(__path__)
    ]


def build_registry(systems: Sequence[System] | None = None) -> Registry:
    """The registry of the kernel and the given systems, all that are installed by default.

    Every table is defined after this, which migrations and `create_all` rely on.
    """
    for name in KERNEL_TABLES:
        importlib.import_module(f"entrepot.kernel.{name}.tables")
    return Registry([*kernel_systems(), *(installed_systems() if systems is None else systems)])
