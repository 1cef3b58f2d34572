"""A real MCP server over stdio; what it was asked goes to the file that its argument names."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mcp.server import MCPServer

server = MCPServer("orders")
asked = Path(sys.argv[1])


@server.tool()
def lookup_order(order_id: str) -> dict[str, Any]:
    """Look up an order."""
    with asked.open("a") as file:
        file.write(f"{order_id}\n")
    return {"order_id": order_id, "status": "shipped", "parcels": 2}


@server.tool()
def cancel_order(order_id: str) -> dict[str, Any]:
    """Cancel an order."""
    return {"cancelled": order_id}


server.run(transport="stdio")
