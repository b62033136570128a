"""MCP: every operation as a tool of a stateless streamable-HTTP server, with the caller's own token and permissions."""

import secrets
from typing import Any

import mcp_types as types
import orjson
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings

from entrepot import __version__
from entrepot.kernel.doors.rest import RestDoor, address_of, parse_json
from entrepot.kernel.operations import Actor, Operation, Outcome, Refusal

KEY_ARGUMENT = "idempotency_key"
KEY_SCHEMA = {
    "type": "string",
    "maxLength": 255,
    "description": "Send the same key again when you repeat the command: it happens once. A fresh one by default.",
}


class McpDoor:
    """The tools and the session manager; `manager.run()` must be entered by the application's life span."""

    def __init__(self, door: RestDoor, *, allowed_hosts: list[str]) -> None:
        self._door = door
        self._operations = {tool_name(operation): operation for operation in door.executor.runtime.registry}
        self._tools = [_tool(name, operation) for name, operation in self._operations.items()]
        self.server: Server[Any] = Server(
            "entrepot",
            version=__version__,
            instructions="Operations of a region's economy: goods, money, claims. Amounts are integers in minor units.",
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
        )
        self.manager = StreamableHTTPSessionManager(
            self.server,
            json_response=True,
            stateless=True,
            security_settings=TransportSecuritySettings(
                enable_dns_rebinding_protection=True,
                allowed_hosts=allowed_hosts,
                allowed_origins=[f"{scheme}://{host}" for scheme in ("http", "https") for host in allowed_hosts],
            ),
        )

    async def _list_tools(self, ctx: ServerRequestContext[Any], params: Any) -> types.ListToolsResult:
        try:
            actor = await self._actor(ctx)
        except Refusal:
            actor = self._door.anonymous
        # What the actor may never call is not offered; the call itself checks again, with the relation.
        return types.ListToolsResult(
            tools=[
                tool
                for tool in self._tools
                if self._operations[tool.name].public or self._operations[tool.name].scope in actor.scopes
            ]
        )

    async def _call_tool(
        self, ctx: ServerRequestContext[Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        operation = self._operations.get(params.name)
        if operation is None:
            return _result(Outcome.refused(Refusal("operation/unknown", f"There is no tool {params.name!r}.")))
        return _result(await self.call(operation, dict(params.arguments or {}), ctx))

    async def call(self, operation: Operation, arguments: dict[str, Any], ctx: ServerRequestContext[Any]) -> Outcome:
        """Run one tool call; refusals are outcomes."""
        key = str(arguments.pop(KEY_ARGUMENT, "")) if operation.kind == "command" else ""
        if operation.kind == "command" and not key:
            key = secrets.token_hex(16)
        actor = self._door.anonymous
        try:
            actor = await self._actor(ctx)
            request = parse_json(operation, orjson.dumps(arguments), {})
        except Refusal as refusal:
            if refusal.status == 401:
                self._door.leave_event(operation, actor, refusal, "mcp")
            return Outcome.refused(refusal)
        if self._door.limiter is not None:
            refused = self._door.limiter.check(actor, operation, address_of(ctx.request))
            if refused is not None:
                self._door.leave_event(operation, actor, refused, "mcp")
                return Outcome.refused(refused)
        return await self._door.executor.outcome(request, actor, key, "mcp")

    async def _actor(self, ctx: ServerRequestContext[Any]) -> Actor:
        request = ctx.request
        return await self._door.actor(request.headers.get("authorization", "") if request is not None else "")


def tool_name(operation: Operation) -> str:
    """The tool's name: some clients take no dots."""
    return operation.name.replace(".", "_")


def _tool(name: str, operation: Operation) -> types.Tool:
    schema = operation.request.model_json_schema()
    if operation.kind == "command":
        schema = {**schema, "properties": {**schema.get("properties", {}), KEY_ARGUMENT: KEY_SCHEMA}}
    return types.Tool(
        name=name,
        title=f"{operation.title[0]} {operation.title[1]}",
        description=(operation.request.__doc__ or operation.title[0]).strip(),
        input_schema=schema,
        output_schema=operation.answer.model_json_schema(mode="serialization"),
        annotations=types.ToolAnnotations(
            read_only_hint=operation.kind == "query",
            destructive_hint=operation.confirm,
            idempotent_hint=True,
            open_world_hint=False,
        ),
    )


def _result(outcome: Outcome) -> types.CallToolResult:
    content: dict[str, Any] = orjson.loads(outcome.json) if outcome.json else dict(outcome.problem or {})
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=orjson.dumps(content).decode())],
        structured_content=content if outcome.status == 200 else None,
        is_error=outcome.status != 200,
    )
