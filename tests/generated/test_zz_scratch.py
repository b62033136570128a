import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from tests.generated.region import *  # noqa


@pytest.mark.timeout(500)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", [GenerationMode.NEGATIVE, GenerationMode.POSITIVE])
def test_s(region, mode):
    if region.application.database.dialect != "sqlite":
        return
    chen = region.actor("per_chen", "org_huanghe", region.application.registry.scopes | {"parties:self"})
    region.application.resolver.actor = lambda token: chen
    schema = schemathesis.openapi.from_asgi("/openapi.json", web(region))
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=12,
            database=None,
            derandomize=True,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def attack(case):
            case.call_and_validate(
                checks=[
                    negative_data_rejection,
                    not_a_server_error,
                    status_code_conformance,
                    response_schema_conformance,
                    content_type_conformance,
                ],
                headers={"Authorization": "Bearer x"},
            )

        try:
            attack()
        except BaseException as e:
            print("###", operation.label, "\n".join(str(x)[:600] for x in getattr(e, "exceptions", [e])))
