"""A small real system that writes traces with the OpenTelemetry SDK: an agent over HTTP, its model, a tool, a shop with a database.

The model server answers 503 at first and then well; `slow` lookups run into the tool's time limit. Each program has a provider of its own,
as in separate processes, and passes its context on in W3C headers.
"""

import contextlib
import json
import sqlite3
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry import propagate
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode

LIMIT_S = 0.15


class Program:
    """One program with its own tracer, behind HTTP where it serves."""

    def __init__(self, name, exporter):
        provider = TracerProvider(resource=Resource.create({"service.name": name}))
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        self.tracer = provider.get_tracer("tests")

    def served(self, route, answer):
        tracer = self.tracer

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                attributes = {"http.request.method": "POST", "http.route": route, "url.path": self.path}
                context = propagate.extract({name.lower(): value for name, value in self.headers.items()})
                with tracer.start_as_current_span(f"POST {route}", context=context, kind=SpanKind.SERVER, attributes=attributes) as span:
                    status, told = answer(body)
                    span.set_attribute("http.response.status_code", status)
                content = json.dumps(told).encode()
                try:
                    self.send_response(status)
                    self.send_header("content-length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                except OSError:
                    pass  # the client has hung up

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def post(self, port, path, body, *, limit_s=5.0):
        attributes = {"http.request.method": "POST", "server.address": "127.0.0.1", "server.port": port}
        with self.tracer.start_as_current_span("POST", kind=SpanKind.CLIENT, attributes=attributes) as span:
            headers = {"content-type": "application/json"}
            propagate.inject(headers)
            request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), headers)
            try:
                with urllib.request.urlopen(request, timeout=limit_s) as reply:
                    span.set_attribute("http.response.status_code", reply.status)
                    return json.loads(reply.read())
            except urllib.error.HTTPError as error:
                span.set_attribute("http.response.status_code", error.code)
                span.set_status(Status(StatusCode.ERROR))
                raise


class System:
    """All programs; use as a context manager, then ask."""

    def __init__(self):
        self.exporter = InMemorySpanExporter()
        self.app, self.shop = Program("front", self.exporter), Program("shop", self.exporter)
        self._down = 0

    def __enter__(self):
        self.model = Program("inference", self.exporter).served("/v1/chat/completions", self._complete)
        self.store = self.shop.served("/orders/{id}", self._order)
        self.front = self.app.served("/ask", lambda body: (200, {"answer": self._agent(body)}))
        return self

    def __exit__(self, *_):
        for server in (self.front, self.store, self.model):
            server.shutdown()
            server.server_close()

    def ask(self, question, **fields):
        """Ask as a user does, outside any span."""
        body = json.dumps({"question": question, **fields}).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.front.server_port}/ask", body, headers)
        with urllib.request.urlopen(request, timeout=10) as reply:
            return json.loads(reply.read())

    def _agent(self, body):
        attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "assistant", "gen_ai.input.messages": "a secret"}
        with self.app.tracer.start_as_current_span("invoke_agent assistant", attributes=attributes):
            with self.app.tracer.start_as_current_span("think"):  # a plain span of its own
                self._down = 1
                self._chat(body["question"])
            if body.get("order"):
                self._tool(body["order"], slow=body.get("slow", False))
            return "done"

    def _chat(self, question):
        port = self.model.server_port
        attributes = {
            "gen_ai.operation.name": "chat", "gen_ai.provider.name": "local", "gen_ai.request.model": "smol",
            "server.address": "127.0.0.1", "server.port": port,
        }  # fmt: skip
        with self.app.tracer.start_as_current_span("chat smol", kind=SpanKind.CLIENT, attributes=attributes):
            for _ in range(3):
                try:
                    return self.app.post(port, "/v1/chat/completions", {"question": question})
                except urllib.error.HTTPError:
                    continue
        return None

    def _complete(self, _body):
        if self._down:
            self._down -= 1
            return 503, {"error": "busy"}
        return 200, {"choices": []}

    def _tool(self, order, *, slow):
        attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "lookup_order"}
        named = self.app.tracer.start_as_current_span("execute_tool lookup_order", attributes=attributes)
        with named, contextlib.suppress(TimeoutError):
            self.app.post(self.store.server_port, f"/orders/{order}", {"slow": slow}, limit_s=LIMIT_S)

    def _order(self, body):
        if body["slow"]:
            time.sleep(2 * LIMIT_S)
        attributes = {"db.system.name": "sqlite", "db.namespace": "orders"}
        with (
            self.shop.tracer.start_as_current_span("SELECT orders", kind=SpanKind.CLIENT, attributes=attributes),
            sqlite3.connect(":memory:") as base,
        ):
            base.execute("SELECT 1").fetchall()
        return 200, {"state": "sent"}

    def spans(self):
        """All that was written, once late answers have come."""
        time.sleep(3 * LIMIT_S)
        return self.exporter.get_finished_spans()
