"""What both depend on and nobody here owns. `GET /seen` says which `baggage` came to it."""

from __future__ import annotations

import json

carried: list[str] = []


def app(environ, start_response):
    if "HTTP_BAGGAGE" in environ:
        carried.append(environ["HTTP_BAGGAGE"])
    answer = {"/price": {"price": 3}, "/left": {"left": 7}}.get(environ["PATH_INFO"], {"carried": carried})
    body = json.dumps(answer).encode()
    start_response("200 OK", [("content-type", "application/json"), ("content-length", str(len(body)))])
    return [body]
