"""Roles and agents: who may pass on what, for how long; organisations that are rejected or frozen."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from entrepot.kernel.operations import Actor, Conflict, NotFound, Refusal, Request
from entrepot.kernel.parties.checks import credit_check
from entrepot.kernel.parties.operations import (
    FreezeOrganisation,
    ReadOrganisation,
    RegisterOrganisation,
    VerifyOrganisation,
)
from entrepot.kernel.parties.role_operations import (
    AppointAgent,
    EndAgent,
    GrantRole,
    ListAgents,
    ListAssignments,
    RevokeRole,
)
from tests.kernel.parties.firm import ADMIN, NOW, SECURITY, Firm, code


@pytest.fixture
def manager(firm: Firm) -> Actor:
    """Li Na, signed in: a trader who may appoint."""
    return firm.resolver.actor(firm.sign_in())


def appoint(firm: Firm, by: Actor, person: str, until: datetime, role: str = "trader") -> None:
    """Appoint somebody for the firm."""
    request = AppointAgent(organisation_id=firm.organisation, person_id=person, role=role, valid_until=until)
    firm.executor.run(request, by, f"appoint-{by.scopes}-{person}-{until}-{role}")


def test_an_agent_acts_until_the_end_and_not_after(firm: Firm, manager: Actor):
    agent = firm.sign_up("zhou.min")
    appoint(firm, manager, agent, NOW + timedelta(hours=2))
    token = firm.sign_in(user_name="zhou.min")
    assert "trade:do" in firm.resolver.actor(token).scopes
    listed = firm.executor.run(ListAgents(organisation_id=firm.organisation), manager).assignments
    assert {(a.person, a.role, a.granted_by) for a in listed} == {
        (firm.person, "trader", "per_sec"), (agent, "trader", firm.person),
    }  # fmt: skip
    end = EndAgent(organisation_id=firm.organisation, person_id=agent, role="trader")
    firm.executor.run(end, manager, "end")
    assert "trade:do" not in firm.resolver.actor(token).scopes
    with pytest.raises(NotFound):
        firm.executor.run(end, manager, "end again")
    appoint(firm, manager, agent, NOW + timedelta(hours=3))
    assert "trade:do" in firm.resolver.actor(token).scopes
    firm.clock.move_to(NOW + timedelta(hours=3))
    assert "trade:do" not in firm.resolver.actor(token).scopes


def test_nobody_appoints_for_longer_than_their_own_term(firm: Firm, manager: Actor):
    agent = firm.sign_up("zhou.min")
    assert code(lambda: appoint(firm, manager, agent, NOW + timedelta(days=366))) == "role/beyond-own-term"
    appoint(firm, manager, agent, NOW + timedelta(days=365))


def test_an_appointment_does_not_shorten_what_another_granted(firm: Firm, manager: Actor):
    other = firm.sign_up("zhou.min")
    firm.grant(other)
    assert code(lambda: appoint(firm, manager, other, NOW + timedelta(days=1))) == "role/granted-by-other"


def test_an_administrators_role_is_never_passed_on_by_appointment(firm: Firm, manager: Actor):
    agent = firm.sign_up("zhou.min")
    firm.grant(firm.person, "system_admin")
    both = replace(manager, roles=manager.roles | {"system_admin"}, scopes=firm.runtime.registry.scopes)
    until = NOW + timedelta(days=1)
    assert code(lambda: appoint(firm, both, agent, until, "system_admin")) == "role/not-held"


def test_a_key_with_few_permissions_hands_out_no_more(firm: Firm, manager: Actor):
    agent = firm.sign_up("zhou.min")
    narrow = replace(manager, scopes=frozenset({"parties:appoint"}))
    assert code(lambda: appoint(firm, narrow, agent, NOW + timedelta(days=1))) == "role/not-held"
    end = EndAgent(organisation_id=firm.organisation, person_id=agent, role="trader")
    assert code(lambda: firm.executor.run(end, narrow, "end")) == "role/not-held"


def test_agents_of_another_firm_are_out_of_reach(firm: Firm, manager: Actor):
    elsewhere = replace(manager, party="org_other")
    requests: tuple[Request[Any], ...] = (
        ListAgents(organisation_id=firm.organisation),
        EndAgent(organisation_id=firm.organisation, person_id=firm.person, role="trader"),
    )
    for request in requests:
        assert code(partial(firm.executor.run, request, elsewhere, f"{request}")) == "permission/no-relation"


def test_administrators_never_meet_when_two_workers_grant_at_once(firm: Firm):
    def grant(person: str, role: str) -> str:
        request = GrantRole(person_id=person, organisation_id=firm.organisation, role=role)
        try:
            firm.executor.run(request, SECURITY, f"{person}-{role}")
        except Refusal as refusal:
            return refusal.code
        return "granted"

    for number in range(6):
        person = firm.sign_up(f"person.{number}")
        with ThreadPoolExecutor(3) as pool:
            roles = ("system_admin", "security_admin", "audit_admin")
            codes = list(pool.map(grant, [person] * 3, roles))
        assert sorted(codes) == ["granted", "role/administrators-apart", "role/administrators-apart"]


def test_an_administrators_role_that_has_ended_bars_no_other(firm: Firm):
    firm.grant(firm.person, "system_admin", valid_until=NOW + timedelta(days=1))
    with pytest.raises(Conflict):
        firm.grant(firm.person, "audit_admin", valid_from=NOW + timedelta(hours=23))
    firm.grant(firm.person, "audit_admin", valid_from=NOW + timedelta(days=1))


@pytest.mark.parametrize("how", ["rejected", "frozen"])
def test_nobody_acts_for_an_organisation_that_is_rejected_or_frozen(firm: Firm, how: str):
    token = firm.sign_in()
    assert "trade:do" in firm.resolver.actor(token).scopes
    frozen = FreezeOrganisation(organisation_id=firm.organisation, frozen=True, reason="order 2026-17")
    rejected = VerifyOrganisation(organisation_id=firm.organisation, decision="rejected", evidence="licence forged")
    firm.executor.run(frozen if how == "frozen" else rejected, SECURITY, "stop")
    assert firm.resolver.actor(token).scopes == {"parties:self"}
    back = (
        FreezeOrganisation(organisation_id=firm.organisation, frozen=False, reason="order lifted")
        if how == "frozen"
        else VerifyOrganisation(organisation_id=firm.organisation, decision="verified", evidence="licence renewed")
    )
    firm.executor.run(back, SECURITY, "again")
    assert "trade:do" in firm.resolver.actor(token).scopes
    with pytest.raises(Conflict):
        firm.executor.run(back, SECURITY, "twice")


def test_nobody_releases_the_party_they_act_for(firm: Firm):
    own = replace(SECURITY, party=firm.organisation)
    request = FreezeOrganisation(organisation_id=firm.organisation, frozen=True, reason="none")
    assert code(lambda: firm.executor.run(request, own, "own")) == "party/own"


def test_the_file_of_an_organisation_names_its_representative_and_owners(firm: Firm):
    body = "91620100MA72TR777"
    known = {
        "credit_code": body + credit_check(body), "name": "New", "name_zh": "新", "kind": "trader",
    }  # fmt: skip
    stranger = RegisterOrganisation.model_validate(known | {"legal_representative": "per_nobody"})
    with pytest.raises(NotFound):
        firm.executor.run(stranger, ADMIN, "stranger")
    owner = firm.sign_up("zhou.min")
    request = RegisterOrganisation.model_validate(
        known | {"legal_representative": firm.person, "beneficial_owners": [owner, firm.person]}
    )
    identifier = firm.executor.run(request, ADMIN, "known").id
    file = firm.executor.run(ReadOrganisation(organisation_id=identifier), SECURITY)
    assert (file.legal_representative, file.beneficial_owners) == (firm.person, [owner, firm.person])
    assert (file.state, file.frozen) == ("unverified", False)
    assert code(lambda: firm.executor.run(ReadOrganisation(organisation_id=identifier), ADMIN)) == "permission/no-scope"


def test_whoever_audits_sees_who_holds_what(firm: Firm):
    other = firm.sign_up("zhou.min")
    firm.grant(other)
    everyone = firm.executor.run(ListAssignments(), SECURITY).assignments
    assert {a.person for a in everyone} == {firm.person, other}
    (one,) = firm.executor.run(ListAssignments(person_id=other), SECURITY).assignments
    assert (one.role, one.valid_from, one.valid_until) == ("trader", NOW, NOW + timedelta(days=365))
    revoke = RevokeRole(person_id=other, organisation_id=firm.organisation, role="trader")
    firm.executor.run(revoke, SECURITY, "revoke")
    assert firm.executor.run(ListAssignments(person_id=other), SECURITY).assignments == []
