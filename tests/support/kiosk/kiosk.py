"""The front of a small shop, a WSGI application: asks for prices, a second service for what is on the shelf, and a model for a word."""

from __future__ import annotations

import json
import os

import httpx2

from refute.integrations.wsgi import ObserveMiddleware

client = httpx2.Client(timeout=5)


def ask(url: str, environ: dict, body: dict | None = None) -> dict:
    """Ask another service; what the request carries goes with it, as tracing would have it."""
    carried = {"baggage": environ["HTTP_BAGGAGE"]} if "HTTP_BAGGAGE" in environ else {}
    return client.request("POST" if body else "GET", url, headers=carried, json=body).raise_for_status().json()


def kiosk(environ, start_response):
    try:
        if environ["PATH_INFO"] == "/quote":
            answer = ask(os.environ["KIOSK_PRICES"] + "/price", environ)
        elif environ["PATH_INFO"] == "/shelf":
            answer = ask(os.environ["KIOSK_STOCK"] + "/left", environ)
            ask(os.environ["KIOSK_SUPPLIER"] + "/v1/chat/completions", environ, {"model": "m", "messages": []})
        else:
            answer = {"process": os.getpid()}
        status = "200 OK"
    except httpx2.HTTPError as error:
        answer, status = {"error": type(error).__name__}, "502 Bad Gateway"
    body = json.dumps(answer).encode()
    start_response(status, [("content-type", "application/json"), ("content-length", str(len(body)))])
    return [body]


app = ObserveMiddleware(kiosk, service="kiosk", fields={"customer": "x-customer"}, journeys={"GET /quote": "quote", "GET /shelf": "shelf"})
