"""The second service: counts what is left, by asking a supplier. It begins no units; it goes on with those that come."""

from __future__ import annotations

import json
import os

import httpx2

from refute.integrations.wsgi import ObserveMiddleware

client = httpx2.Client(timeout=5)


def stock(environ, start_response):
    try:
        left, status = client.get(os.environ["KIOSK_SUPPLIER"] + "/left").raise_for_status().json(), "200 OK"
    except httpx2.HTTPError:
        left, status = {}, "503 Service Unavailable"
    body = json.dumps(left).encode()
    start_response(status, [("content-type", "application/json"), ("content-length", str(len(body)))])
    return [body]


app = ObserveMiddleware(stock, service="stock", entry=False)
