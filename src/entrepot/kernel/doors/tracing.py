"""Traces: a span for every operation that runs, through OpenTelemetry, off unless a setting asks for it."""

from collections.abc import Callable
from pathlib import Path

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from opentelemetry.trace import Tracer


def file_tracer(file: Path) -> tuple[Tracer, Callable[[], None]]:
    """A tracer that appends spans to a file as JSON lines, and what ends it.

    Whoever runs a collector gives the runtime a tracer of an own provider instead.
    """
    out = file.open("a", encoding="utf-8")
    exporter = ConsoleSpanExporter(out=out, formatter=_line)
    provider = TracerProvider(resource=Resource.create({"service.name": "entrepot"}))
    provider.add_span_processor(BatchSpanProcessor(exporter))

    def close() -> None:
        provider.shutdown()
        out.close()

    return provider.get_tracer("entrepot"), close


def _line(span: ReadableSpan) -> str:
    return f"{span.to_json(indent=None)}\n"
