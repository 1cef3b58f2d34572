"""A real MCP server over streamable HTTP or over stdio, with a few tools about orders."""

from __future__ import annotations

from typing import Any

from mcp.server import MCPServer

from servers.provider import Served

RECORD = {"order_id": "A1", "status": "shipped", "carrier": "Northern Post", "parcels": 2, "note": "It left the warehouse on Monday."}


def orders() -> MCPServer:
    server = MCPServer("orders")

    @server.tool()
    def lookup_order(order_id: str) -> dict[str, Any]:
        """Look up an order."""
        Mcp.calls += 1
        return RECORD | {"order_id": order_id}

    @server.tool()
    def cancel_order(order_id: str) -> dict[str, Any]:
        """Cancel an order."""
        return {"cancelled": order_id}

    @server.tool()
    def list_orders() -> dict[str, Any]:
        """List all orders."""
        return {"orders": ["A1"]}

    return server


class Mcp(Served):
    """The server; `calls` counts how often an order was looked up."""

    calls = 0

    def __init__(self, *, stream: bool) -> None:
        super().__init__(orders().streamable_http_app(json_response=not stream), lifespan="on")
