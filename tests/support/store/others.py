"""What the store depends on: prices and mail, served by one process. `GET /seen` says what came with requests that should not have."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

mailed = 0
carried: list[str] = []


def note(request: Request) -> None:
    if "baggage" in request.headers:
        carried.append(request.headers["baggage"])


async def price(request: Request) -> Response:
    note(request)
    return JSONResponse({"price": 3})


async def send(request: Request) -> Response:
    global mailed
    note(request)
    mailed += 1
    return JSONResponse({"mailed": mailed})


async def seen(_: Request) -> Response:
    return JSONResponse({"mailed": mailed, "carried": carried})


app = Starlette(routes=[Route("/price", price), Route("/send", send, methods=["POST"]), Route("/seen", seen)])
