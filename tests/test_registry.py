"""What every declaration owes: titles in both languages, a summary, a valid example; and what is for systems alone."""

from entrepot.region.seed import manifest
from entrepot.systems import build_registry, installed_systems

REGISTRY = build_registry([*installed_systems(), manifest])


def test_every_operation_has_both_titles_a_summary_and_a_valid_example():
    for operation in REGISTRY:
        assert all(operation.title), operation.name
        assert operation.summary.endswith((".", "。")), f"{operation.name}: {operation.summary!r}"
        operation.request.model_validate(dict(operation.example), strict=False)


def test_what_timers_and_workflows_do_no_person_may():
    for scope in ("tradefinance:operate", "things:alarm", "parties:vouch", "notices:deliver"):
        assert any(operation.scope == scope for operation in REGISTRY), scope
        holders = [role for role, scopes in REGISTRY.roles.items() if scope in scopes]
        assert holders == [], f"{scope} is held by {holders}"
