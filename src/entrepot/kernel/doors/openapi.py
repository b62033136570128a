"""OpenAPI 3.1 of every operation, generated from the declarations."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from entrepot import __version__
from entrepot.kernel.doors.rest import path_fields, route_path
from entrepot.kernel.operations import Operation, Registry

REFUSALS = {
    400: "The message cannot be read, or a command has no Idempotency-Key",
    401: "Nobody is signed in, or the token is unknown, expired or revoked",
    403: "The actor lacks the permission or the relation, or approves an own request",
    404: "There is no such thing",
    409: "The state of things forbids it, or the key was used with other content",
    413: "The body is too large",
    422: "A field is wrong, or a business rule is not met",
    429: "The rate limit is reached",
    500: "The operation failed, nothing was changed, and the failure was recorded",
    503: "Overloaded or contended; nothing was done, send the same key again",
}
PROBLEM_SCHEMA = {
    "type": "object",
    "description": "RFC 9457 problem document",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "title_zh": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}


def document(registry: Registry, *, base_url: str) -> dict[str, Any]:
    """The OpenAPI description of the whole registry."""
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(operation.request, "validation") for operation in registry]
    models += [(operation.answer, "serialization") for operation in registry]
    names, definitions = models_json_schema(models, ref_template="#/components/schemas/{model}")
    schemas = dict(definitions.get("$defs", {}))
    schemas["Problem"] = PROBLEM_SCHEMA
    paths: dict[str, dict[str, Any]] = {}
    for operation in registry:
        request_schema = _resolved(names[operation.request, "validation"], schemas)
        answer_schema = names[operation.answer, "serialization"]
        paths.setdefault(route_path(operation), {})[operation.method.lower()] = _describe(
            operation, request_schema, answer_schema, schemas
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Entrepot",
            "version": __version__,
            "summary": "An open operating platform for a region's economy",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": base_url}],
        "tags": [{"name": s.name, "description": f"{s.title[0]} {s.title[1]}"} for s in registry.systems.values()],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _describe(
    operation: Operation, request_schema: dict[str, Any], answer_schema: Any, schemas: dict[str, Any]
) -> dict[str, Any]:
    in_path = set(path_fields(operation))
    properties: dict[str, Any] = request_schema.get("properties", {})
    required = set(request_schema.get("required", ()))
    described: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.system],
        "summary": operation.title[0],
        "description": _description(operation),
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": properties[name]} for name in sorted(in_path)
        ],
        "responses": _responses(answer_schema),
    }
    if not operation.public:
        described["security"] = [{"bearer": []}]
    others = {name: schema for name, schema in properties.items() if name not in in_path}
    if operation.method == "GET":
        described["parameters"] += [
            {"name": name, "in": "query", "required": name in required, "schema": schema}
            for name, schema in others.items()
        ]
    elif others:
        body = {**request_schema, "properties": others, "required": sorted(required - in_path)}
        schemas[f"{operation.request.__name__}Body"] = body
        content: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{operation.request.__name__}Body"}}
        if operation.example:
            content["example"] = {k: v for k, v in operation.example.items() if k not in in_path}
        described["requestBody"] = {"required": bool(required - in_path), "content": {"application/json": content}}
    if operation.kind == "command":
        described["parameters"].append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": True,
                "description": "Send the same key again when you repeat the command: it happens once.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
            }
        )
    return described


def _description(operation: Operation) -> str:
    lines = [(operation.request.__doc__ or operation.title[0]).strip(), f"{operation.title[1]}。"]
    if operation.scope:
        lines.append(f"Permission: `{operation.scope}`.")
    if operation.relation is not None:
        lines.append(f"Relation: {operation.relation.describe()}.")
    if operation.not_by is not None:
        lines.append("Not by the person who asked for it.")
    return "\n\n".join(lines)


def _responses(answer_schema: Any) -> dict[str, Any]:
    responses: dict[str, Any] = {
        "200": {"description": "Done", "content": {"application/json": {"schema": answer_schema}}}
    }
    for status, text in REFUSALS.items():
        responses[str(status)] = {
            "description": text,
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    return responses


def _resolved(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    return dict(schemas[reference.rpartition("/")[2]]) if reference else dict(schema)
