"""A span for each operation, with its outcome, where the setting asks for traces."""

import json
from pathlib import Path

from entrepot.kernel.database import Database
from entrepot.kernel.doors.tracing import file_tracer
from entrepot.kernel.operations import Actor, Executor, Runtime, SystemClock
from entrepot.kernel.reference.operations import DefineSeries, GetPrice
from entrepot.systems import build_registry


def test_commands_queries_and_refusals_leave_spans(database: Database, tmp_path: Path):
    tracer, close = file_tracer(tmp_path / "traces.jsonl")
    registry = build_registry([])
    runtime = Runtime(database, registry, SystemClock(), tracer=tracer)
    clerk = Actor("test", "per_1", "org_1", "person", frozenset({"reference:write", "reference:read"}))
    series = DefineSeries(series="copper", title="Copper", title_zh="铜", currency="CNY", unit="t", source="desk")
    with Executor(runtime) as executor:
        executor.run(series, clerk, "1")
        assert executor.submit(GetPrice(series="copper"), clerk).result().status == 404
        assert executor.submit(series, Actor.anonymous("test"), "2").result().status == 401
    close()
    spans = [json.loads(line) for line in (tmp_path / "traces.jsonl").read_text().splitlines()]
    named = [(span["name"], span["attributes"].get("entrepot.status")) for span in spans]
    assert ("reference.define_series", 200) in named
    assert ("reference.define_series", 401) in named
    assert "reference.price" in [name for name, _ in named]
    assert all(span["attributes"]["entrepot.tenant"] == "test" for span in spans)
