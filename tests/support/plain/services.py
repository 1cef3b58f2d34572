"""A service that knows nothing of Refute, on several servers and client libraries: `python services.py KIND PORT PROVIDER`."""

from __future__ import annotations

import json
import os
import sys

MESSAGES = [{"role": "user", "content": "When do you open?"}]
PROVIDER = os.environ.get("PROVIDER", "")
PASSES_ON = bool(os.environ.get("PASSES_ON"))
"""Whether baggage goes on to what is called, as OpenTelemetry has it."""


def asked(number: int) -> dict:
    return {"model": "text", "messages": MESSAGES, "n": number}


def state() -> dict:
    """What is in this process."""
    classes = {"httpx2": ("HTTPTransport", "handle_request"), "aiohttp": ("ClientSession", "_request")}
    hooked = [name for name, (kind, method) in classes.items() if name in sys.modules and _foreign(sys.modules[name], kind, method)]
    return {
        "pid": os.getpid(),
        "hooked": hooked,
        "finders": [type(finder).__module__ for finder in sys.meta_path if type(finder).__module__.startswith("refute")],
        "imported": sorted(name for name in sys.modules if name.startswith("refute.")),
    }


def _foreign(module, kind: str, method: str) -> bool:
    return vars(getattr(module, kind))[method].__module__.startswith("refute")


def answer(status: int, text: str) -> tuple[int, dict]:
    if status != 200:
        return 502, {"error": text}
    return 200, {"text": json.loads(text)["choices"][0]["message"]["content"]}


# Starlette under uvicorn, calling with httpx2


async def starlette_ask(request):
    from starlette.responses import JSONResponse

    if request.method == "GET":
        return JSONResponse(state())
    passed_on = {"baggage": request.headers["baggage"]} if PASSES_ON and "baggage" in request.headers else {}
    size = len(await request.body())
    reply = await app.state.client.post(f"{PROVIDER}/v1/chat/completions", json=asked(size), headers=passed_on)
    status, body = answer(reply.status_code, reply.text)
    return JSONResponse(body, status)


def made():
    import httpx2
    from starlette.applications import Starlette
    from starlette.routing import Route

    made = Starlette(routes=[Route("/ask", starlette_ask, methods=["GET", "POST"])])
    made.state.client = httpx2.AsyncClient(timeout=30, verify=False)
    return made


app = made() if os.environ.get("PROVIDER") else None


# http.server, calling with requests


def with_threads(port: int) -> None:
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    import requests

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            size = len(self.rfile.read(int(self.headers["content-length"])))
            reply = requests.post(f"{PROVIDER}/v1/chat/completions", json=asked(size), timeout=30)
            self._tell(*answer(reply.status_code, reply.text))

        def do_GET(self) -> None:
            self._tell(200, state())

        def _tell(self, status: int, told: dict) -> None:
            body = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

    server = Server(("127.0.0.1", port), Handler)
    if os.environ.get("FORKS"):
        os.fork()  # both accept from now on
    server.serve_forever()


# aiohttp, calling with itself


def with_aiohttp(port: int) -> None:
    import aiohttp
    from aiohttp import web

    async def ask(request):
        size = len(await request.read())
        async with aiohttp.ClientSession() as session, session.post(f"{PROVIDER}/v1/chat/completions", json=asked(size)) as reply:
            status, body = answer(reply.status, await reply.text())
        return web.json_response(body, status=status)

    async def tell(_request):
        return web.json_response(state())

    served = web.Application()
    served.add_routes([web.post("/ask", ask), web.get("/ask", tell)])
    web.run_app(served, host="127.0.0.1", port=port, print=None)


def with_uvicorn(port: int) -> None:
    import uvicorn

    loop = "asyncio"
    uvicorn.run("services:app", host="127.0.0.1", port=port, workers=int(os.environ.get("WORKERS", "1")), log_level="error", loop=loop)


if __name__ == "__main__":
    {"http.server": with_threads, "aiohttp": with_aiohttp, "uvicorn": with_uvicorn}[sys.argv[1]](int(sys.argv[2]))
