"""What import-linter cannot say: contracts depend on one another without a cycle, and hold no behaviour (law 1)."""

import graphlib

import grimp
import pytest


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("entrepot", exclude_type_checking_imports=True, cache_dir=None)


def _contracts(imports: grimp.ImportGraph) -> set[str]:
    return {
        name for name in imports.modules if name.startswith("entrepot.systems.") and name.split(".")[3:] == ["contract"]
    }


def test_contracts_have_no_cycle(imports: grimp.ImportGraph) -> None:
    contracts = _contracts(imports)
    needs = {name: imports.find_modules_directly_imported_by(name) & contracts for name in contracts}
    graphlib.TopologicalSorter(needs).prepare()  # raises CycleError, which names the cycle


def test_contracts_import_only_contracts_and_the_kernel(imports: grimp.ImportGraph) -> None:
    contracts = _contracts(imports)
    for name in sorted(contracts):
        others = imports.find_modules_directly_imported_by(name) - contracts
        strangers = sorted(other for other in others if not other.startswith("entrepot.kernel"))
        assert not strangers, f"{name} imports {strangers}: a contract holds types, no behaviour"
