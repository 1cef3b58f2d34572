"""How a cohort travels: signatures, the two middlewares, and the reports that come back."""

from __future__ import annotations

import asyncio
import contextvars
import tempfile
from pathlib import Path

import pytest

from refute.core.cohort import Seal, read_report, report, without_unit
from refute.core.context import UnitContext, current_unit
from refute.experiment.tally import Tally
from refute.injectors import ingress
from refute.integrations import asgi, wsgi

KEY = "a case, größer=1;x/3/inject"


def test_a_seal_opens_what_it_signed_whatever_the_key_holds():
    seal = Seal("token")
    baggage = seal.baggage(KEY, "control")
    assert baggage.isascii()
    assert seal.opened(f"tenant=a;p=1, {baggage} ,other=b") == (KEY, "control")
    assert without_unit(f"tenant=a;p=1, {baggage} ,other=b") == "tenant=a;p=1,other=b"


@pytest.mark.parametrize(
    "forge",
    [
        lambda true: true.replace("control", "treatment"),
        lambda true: true.replace("control", "anything"),
        lambda true: true.replace("refute-unit=a", "refute-unit=b"),
        lambda true: true[:-1],
        lambda true: true.rpartition(",")[0],
        lambda true: true.rpartition("=")[0] + "=é" * 16,
        lambda _: Seal("an older token").baggage(KEY, "control"),
        lambda _: "refute-unit",
        lambda _: "",
    ],
)
def test_a_seal_does_not_open_a_forgery(forge):
    assert Seal("token").opened(forge(Seal("token").baggage(KEY, "control"))) is None


@pytest.mark.parametrize("datagram", [b"", b"[]", b"\xff", b"null", b"[1,2,3]", report("refute-unit=x", "hit", "llm")])
def test_a_garbled_or_unsigned_report_is_dropped(datagram):
    assert read_report(datagram, Seal("token")) is None


# The way there and back


@pytest.fixture
def link():
    with tempfile.TemporaryDirectory() as folder:
        environ = {"REFUTE_LINK": str(Path(folder) / "link"), "REFUTE_LINK_TOKEN": "token"}
        ingress.enter(environ)
        yield environ
        ingress.leave()


@pytest.fixture
def baggage():
    return Seal("token").baggage(KEY, "treatment")


async def call_asgi(app, *headers):
    scope = {"type": "http", "headers": [(b"host", b"x"), *((b"baggage", value.encode()) for value in headers)]}
    await app(scope, None, None)


async def test_asgi_sets_the_unit_and_what_it_meets_comes_back(link, baggage):
    met = []

    async def app(scope, receive, send):
        unit = current_unit.get()
        met.append((unit.key, unit.arm, dict(scope["headers"])[b"baggage"].decode()))
        for _ in range(40):  # more than a datagram socket holds
            unit.saw_eligible("llm")
        await asyncio.to_thread(lambda: current_unit.get().saw_hit("llm"))

    here = UnitContext(KEY, "treatment")
    with Tally(link).counting(here):
        await call_asgi(asgi.CohortMiddleware(app), baggage)
    assert met == [(KEY, "treatment", baggage)]
    assert (here.eligible(), here.hits()) == ({"llm": 40}, {"llm": 1})
    assert current_unit.get() is None


async def test_asgi_takes_forged_members_away_and_leaves_the_rest(link, baggage):
    seen = []

    async def app(scope, receive, send):
        seen.append((current_unit.get(), scope["headers"]))

    forged = baggage.replace("treatment", "control")
    middleware = asgi.CohortMiddleware(app)
    await call_asgi(middleware, forged, "tenant=a")
    await call_asgi(middleware, forged)
    await call_asgi(middleware)
    alone = [(b"host", b"x")]
    assert seen == [(None, [*alone, (b"baggage", b"tenant=a")]), (None, alone), (None, alone)]


async def test_asgi_passes_other_scopes_untouched_and_without_a_link_takes_away_what_outsiders_sent(link, baggage):
    seen = []

    async def app(scope, receive, send):
        seen.append((current_unit.get(), scope))

    websocket = {"type": "websocket", "headers": [(b"baggage", baggage.encode())]}
    await asgi.CohortMiddleware(app)(websocket, None, None)
    ingress.leave()
    http = websocket | {"type": "http"}
    await asgi.CohortMiddleware(app)(http, None, None)
    plain = {"type": "http", "headers": [(b"baggage", b"tenant=a")]}
    await asgi.CohortMiddleware(app)(plain, None, None)
    assert seen[0][1] is websocket
    assert seen[1][1] == http | {"headers": []}
    assert seen[2][1] is plain
    assert seen[0][0] is seen[1][0] is None


def test_wsgi_sets_the_unit_for_the_call_and_for_the_body(link, baggage):
    closed = []

    class Body:
        def __init__(self):
            self.left = 2

        def __iter__(self):
            return self

        def __next__(self):
            if not self.left:
                raise StopIteration
            self.left -= 1
            current_unit.get().saw_hit("llm")
            return b"x"

        def close(self):
            closed.append(current_unit.get().key)

    def app(environ, start_response):
        current_unit.get().saw_eligible("llm")
        return Body()

    here = UnitContext(KEY, "treatment")
    with Tally(link).counting(here):
        body = wsgi.CohortMiddleware(app)({"HTTP_BAGGAGE": baggage}, None)
        assert current_unit.get() is None
        assert b"".join(body) == b"xx"
        body.close()
    assert (here.eligible(), here.hits(), closed) == ({"llm": 1}, {"llm": 2}, [KEY])


@pytest.mark.parametrize(("sent", "seen"), [({}, {}), ({"HTTP_BAGGAGE": "a=b"}, {"HTTP_BAGGAGE": "a=b"}), ("forged", {})])
def test_wsgi_trusts_no_forgery(link, baggage, sent, seen):
    def app(environ, start_response):
        return [current_unit.get(), environ]

    environ = {"HTTP_BAGGAGE": baggage[:-1]} if sent == "forged" else sent
    assert wsgi.CohortMiddleware(app)(environ, None) == [None, seen]


async def test_without_a_link_the_unit_of_live_traffic_stays(link):
    ingress.leave()
    live = UnitContext(KEY, "treatment")
    token = current_unit.set(live)

    async def app(scope, receive, send):
        assert current_unit.get() is live

    await asgi.CohortMiddleware(app)({"type": "http", "headers": []}, None, None)
    assert list(wsgi.CohortMiddleware(lambda *_: [current_unit.get()])({}, None)) == [live]
    current_unit.reset(token)


def test_wsgi_without_a_link_takes_away_what_outsiders_sent(link, baggage):
    ingress.leave()
    (seen,) = wsgi.CohortMiddleware(lambda environ, _: [environ])({"HTTP_BAGGAGE": baggage}, None)
    assert seen == {}
    environ = {"HTTP_BAGGAGE": "tenant=a"}
    (seen,) = wsgi.CohortMiddleware(lambda environ, _: [environ])(environ, None)
    assert seen is environ


def test_reports_of_units_that_are_over_are_dropped_and_nobody_listening_does_no_harm(link, baggage):
    def app(environ, start_response):
        return [current_unit.get()]

    (unit,) = contextvars.copy_context().run(wsgi.CohortMiddleware(app), {"HTTP_BAGGAGE": baggage}, None)
    unit.saw_eligible("llm")  # nobody listens yet
    tally, other = Tally(link), UnitContext("another", "treatment")
    with tally.counting(other):
        unit.saw_eligible("llm")
    assert other.eligible() == {}
    assert unit.eligible() == {"llm": 2}
