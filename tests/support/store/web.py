"""The web process of a small store: asks for prices over HTTP, and leaves receipts to a worker. Served by several uvicorn workers."""

from __future__ import annotations

import json
import os

import httpx2
import valkey.asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from refute.integrations.asgi import ObserveMiddleware

LIST_PRICES = {"tea": 4}
client = httpx2.AsyncClient(timeout=5)
queue = valkey.asyncio.Valkey(port=int(os.environ["STORE_QUEUE_PORT"]))


async def price(item: str) -> int:
    response = await client.get(f"{os.environ['STORE_PRICES']}/price", params={"item": item})
    response.raise_for_status()
    return response.json()["price"]


async def quote(_: Request) -> Response:
    return JSONResponse({"price": await price("tea")})


async def checkout(request: Request) -> Response:
    """Sell at the list price where the current one is not to be had."""
    try:
        paid = await price("tea")
    except httpx2.HTTPError:
        paid = LIST_PRICES["tea"]
    await queue.lpush("receipts", json.dumps({"customer": request.headers.get("x-customer", ""), "paid": paid}))
    return JSONResponse({"paid": paid})


async def health(_: Request) -> Response:
    return JSONResponse({"process": os.getpid()})


store = Starlette(routes=[Route("/quote", quote), Route("/checkout", checkout, methods=["POST"]), Route("/health", health)])
app = ObserveMiddleware(
    store, service="store", fields={"customer": "x-customer"}, journeys={"GET /quote": "quote", "POST /checkout": "check-out"}
)
