"""The worker process of the store: takes receipts from the queue and has them mailed. It is instrumented with OpenTelemetry."""

from __future__ import annotations

import json
import os

import httpx2
import valkey
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind

from refute.integrations.otel import UnitSpanProcessor

provider = TracerProvider()
provider.add_span_processor(UnitSpanProcessor(service="receipts", journeys={"send receipt": "receipt"}))
tracer = provider.get_tracer("store")
client = httpx2.Client(timeout=5)


def send(job: dict) -> None:
    client.post(f"{os.environ['STORE_MAIL']}/send", json=job).raise_for_status()


def main() -> None:
    queue = valkey.Valkey(port=int(os.environ["STORE_QUEUE_PORT"]))
    while True:
        _, taken = queue.brpop("receipts")
        try:
            with tracer.start_as_current_span("send receipt", kind=SpanKind.CONSUMER):
                send(json.loads(taken))
        except httpx2.HTTPError:
            queue.lpush("unsent", taken)


if __name__ == "__main__":
    main()
