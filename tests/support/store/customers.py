"""Customers of the store, who come whether or not they are served: open-loop load, no part of any run. Writes a tally at the end."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
import time
from collections import Counter

import httpx2


async def visit(client: httpx2.AsyncClient, url: str, number: int, tally: Counter) -> None:
    headers = {"x-customer": f"customer-{number}"}
    try:
        if number % 2:
            response = await client.get(f"{url}/quote", headers=headers)
        else:
            response = await client.post(f"{url}/checkout", headers=headers)
        tally[response.status_code] += 1
    except httpx2.HTTPError as error:
        tally[type(error).__name__] += 1


async def main(url: str, rate: float) -> None:
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    tally: Counter = Counter()
    visits: set[asyncio.Task] = set()
    rng, due = random.Random(1), time.monotonic()
    limits = httpx2.Limits(max_keepalive_connections=0)
    async with httpx2.AsyncClient(timeout=10, limits=limits) as client:
        while not over.is_set():
            visits.add(asyncio.create_task(visit(client, url, rng.randrange(10**9), tally)))
            visits = {visit for visit in visits if not visit.done()}
            due += rng.expovariate(rate)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        await asyncio.gather(*visits)
    print(json.dumps(tally))


asyncio.run(main(sys.argv[1], float(sys.argv[2])))
