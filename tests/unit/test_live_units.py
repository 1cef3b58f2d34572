"""Middleware and span processor on live traffic, within one process: what is a unit, whose it is, how it went."""

import json
import socket
import time

import pytest
from opentelemetry import baggage as otel_baggage
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind

from refute.core.audience import Audience, Selection
from refute.core.cohort import Seal, read_report, read_start
from refute.core.context import current_unit
from refute.core.draws import in_treatment
from refute.core.errors import RefuteError
from refute.core.intent import Indicator
from refute.injectors.ingress import Ingress
from refute.integrations import _observer, asgi, wsgi
from refute.integrations._judge import Judge
from refute.integrations._units import Units
from refute.integrations.otel import UnitSpanProcessor

TOKEN = "the link's token"
JOURNEYS = {"POST /checkout": "check-out", "/quote/*": "quote"}
FIELDS = {"user": "X-User"}
EVERYONE, BY_USER = Audience(), Audience("user")
EVALUATED = []


def served(case, answer):
    EVALUATED.append((case, answer))
    if answer["body"] == "unreadable":
        raise ValueError
    return answer["status"] == 200


class Run:
    """A run that this process has joined, as the middleware sees it; what it is told can be read."""

    def __init__(self, folder, *, units=100, timeout_s=5.0, indicators=("served",), audience=EVERYONE):
        self.ears = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ears.bind(f"{folder}/link.units")
        self.ears.setblocking(False)
        self.seal = Seal(TOKEN)
        kinds = {"served": Indicator("served", "ratio", f"{__name__}:served"), "latency": Indicator("latency", "latency")}
        self.ingress = Ingress(f"{folder}/link", TOKEN, 0.02)
        self.judge = Judge([kinds[name] for name in indicators])
        watch = {
            "phase": "inject", "seed": 1, "share": 0.5, "step": 0, "timeout_s": timeout_s, "units": units, "audience": audience.to_json(),
        }  # fmt: skip
        self.units = Units(watch, self.ingress, self.judge)

    def travelling(self, baggage):
        return self.ingress.unit(baggage) if baggage else None

    def begin(self, case):
        return self.units.begin(case)

    def heard(self):
        found = []
        while True:
            try:
                found.append(self.ears.recv(8192))
            except BlockingIOError:
                return found

    def starts(self):
        return [start for datagram in self.heard() if (start := read_start(datagram, self.seal)) is not None]

    def ended(self, count=1):
        found, until_s = [], time.monotonic() + 5
        while len(found) < count and time.monotonic() < until_s:
            found += self.units.news()["ended"]
            time.sleep(0.005)
        return found


@pytest.fixture
def observer(monkeypatch):
    made = _observer.Observer("shop")
    made.present = True
    monkeypatch.setattr(_observer._Here, "observer", made)
    return made


@pytest.fixture
def joined(observer, tmp_path):
    observer.joined = Run(tmp_path)
    EVALUATED.clear()
    yield observer.joined
    observer.joined.judge.close()


class Shop:
    """An application that takes down what it is called with."""

    def __init__(self, answer=b'{"paid": 3}', status=200, raises=None):
        self.answer, self.status, self.raises = answer, status, raises
        self.units, self.baggage = [], []

    async def __call__(self, scope, receive, send):
        self.units.append(current_unit.get())
        self.baggage.append(asgi.baggage(scope["headers"]))
        await receive()
        if self.raises:
            raise self.raises
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": self.answer[:4], "more_body": True})
        await send({"type": "http.response.body", "body": self.answer[4:]})


async def request(app, path="/checkout", method="POST", body=b'{"item": "tea"}', **headers):
    sent = []

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    await app({"type": "http", "method": method, "path": path, "headers": named}, receive, send)
    return sent


async def test_a_request_is_a_unit_with_its_journey_its_cohort_and_its_outcome(joined):
    shop = Shop()
    app = asgi.ObserveMiddleware(shop, service="shop", journeys=JOURNEYS)
    sent = await request(app)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body", "http.response.body"]
    (start,) = joined.starts()
    (ended,) = joined.ended()
    assert (start.key, start.journey, start.side) == (shop.units[0].key, "check-out", shop.units[0].arm)
    assert (ended["unit"], ended["values"], ended["error"]) == (start.key, {"served": 1.0}, "")
    case = {"method": "POST", "path": "/checkout", "journey": "check-out", "body": {"item": "tea"}}
    assert [(case, {"status": 200, "body": {"paid": 3}})] == EVALUATED
    assert joined.seal.opened(shop.baggage[0]) == (start.key, start.side)
    assert current_unit.get() is None


@pytest.mark.parametrize(
    ("shop", "error"),
    [(Shop(status=503), "ServiceError"), (Shop(raises=KeyError("x")), "KeyError"), (Shop(raises=SystemExit()), "SystemExit")],
)
async def test_a_server_error_and_an_exception_have_failed(joined, shop, error):
    app = asgi.ObserveMiddleware(shop, service="shop")
    try:
        await request(app)
    except (KeyError, SystemExit):
        assert error in {"KeyError", "SystemExit"}
    (ended,) = joined.ended()
    assert (ended["error"], ended["values"]) == (error, {"served": 0.0})
    assert EVALUATED == []


async def test_an_indicator_that_raises_has_no_value_and_the_request_is_none_the_wiser(joined):
    sent = await request(asgi.ObserveMiddleware(Shop(b"unreadable"), service="shop"))
    assert sent[0]["status"] == 200
    (ended,) = joined.ended()
    assert ended["values"] == {"served": None}


async def test_a_user_stays_in_one_cohort_and_is_not_named(observer, tmp_path):
    observer.joined = run = Run(tmp_path, audience=BY_USER)
    app = asgi.ObserveMiddleware(Shop(), service="shop", fields=FIELDS)
    users = ["ann", "bob", "ann", "cyd", "ann"]
    for user in users:
        await request(app, x_user=user)
    starts = run.starts()
    assert [start.subject for start in starts].count(starts[0].subject) == 3
    assert [start.side == "treatment" for start in starts] == [in_treatment(1, BY_USER.subject({"user": user}), 0.5) for user in users]
    assert not {start.subject for start in starts} & {BY_USER.subject({"user": user}) for user in users}  # which anybody could work out
    assert "ann" not in json.dumps([[start.key, start.subject] for start in starts])
    assert len({start.key for start in starts}) == 5


async def test_as_the_share_grows_who_was_in_treatment_stays_there(observer, tmp_path):
    observer.joined = run = Run(tmp_path, audience=BY_USER)
    app = asgi.ObserveMiddleware(Shop(), service="shop", fields=FIELDS)
    run.units.widen(0.2, 0)
    for number in range(30):
        await request(app, x_user=f"user {number}")
    before = run.starts()
    run.units.widen(0.6, 1)
    for number in range(30):
        await request(app, x_user=f"user {number}")
    after = run.starts()
    assert {(start.share, start.step) for start in after} == {(0.6, 1)}
    treated, then = ({start.subject for start in starts if start.side == "treatment"} for starts in (before, after))
    assert treated < then


@pytest.mark.parametrize(
    ("audience", "sides"),
    [
        (BY_USER, ["in", "in", "outside"]),
        (Audience(only=(Selection(cases={"user": frozenset({"ann"})}),)), ["in", "outside", "outside"]),
        (Audience(only=(Selection(frozenset({"quote"})),)), ["outside", "outside", "outside"]),
        (Audience(without=(Selection(cases={"user": frozenset({"ann"})}),)), ["outside", "in", "in"]),
        (Audience(without=(Selection(frozenset({"check-out"})),)), ["outside", "outside", "outside"]),
        (Audience(without=(Selection(cases={"tier": frozenset({"vip"})}),)), ["outside", "outside", "outside"]),
    ],
    ids=["nobody's is spared", "only ann", "only another journey", "not ann", "not this journey", "what the service cannot tell is spared"],
)
async def test_who_may_see_a_fault_is_decided_in_the_service(observer, tmp_path, audience, sides):
    observer.joined = run = Run(tmp_path, audience=audience)
    shop = Shop()
    app = asgi.ObserveMiddleware(shop, service="shop", fields=FIELDS, journeys=JOURNEYS)
    await request(app, x_user="ann")
    await request(app, x_user="bob")
    await request(app)
    starts = run.starts()
    assert ["outside" if start.side == "outside" else "in" for start in starts] == sides
    assert {unit.arm for unit, start in zip(shop.units, starts, strict=True) if start.side == "outside"} <= {"control"}


async def test_what_belongs_to_no_journey_and_what_comes_after_the_last_unit_is_served_and_is_no_unit(observer, tmp_path):
    observer.joined = run = Run(tmp_path, units=1)
    shop = Shop()
    app = asgi.ObserveMiddleware(shop, service="shop", journeys=JOURNEYS)
    for path in ["/health", "/quote/tea", "/quote/tea"]:
        assert (await request(app, path, "GET"))[0]["status"] == 200
    assert [unit is not None for unit in shop.units] == [False, True, False]
    assert len(run.starts()) == 1
    run.units.grant(2)
    await request(app, "/quote/tea", "GET")
    assert len(run.starts()) == 1
    run.units.stop()
    await request(app, "/quote/tea", "GET")
    assert run.starts() == []


async def test_a_unit_from_another_service_goes_on_and_a_forged_one_is_dropped(joined):
    shop = Shop()
    app = asgi.ObserveMiddleware(shop, service="shop", journeys=JOURNEYS, entry=False)
    true, forged = joined.seal.baggage("u/1", "treatment"), Seal("another").baggage("u/2", "treatment")
    await request(app, baggage=f"tenant=a,{true}")
    await request(app, baggage=f"tenant=a,{forged}")
    assert [(unit.key, unit.arm) if unit else None for unit in shop.units] == [("u/1", "treatment"), None]
    assert shop.baggage == [f"tenant=a,{true}", "tenant=a"]
    assert joined.starts() == []  # it was begun elsewhere
    shop.units[0].saw_eligible("stock")
    assert [read_report(datagram, joined.seal) for datagram in joined.heard()] == [("u/1", "eligible", "stock")]


async def test_what_a_unit_meets_is_told_at_once_and_later_where_there_is_no_room(joined):
    unit = joined.begin({"journey": ""})
    unit.saw_eligible("prices")
    unit.saw_hit("prices")
    told = [read_report(datagram, joined.seal) for datagram in joined.heard()]
    assert told == [None, (unit.key, "eligible", "prices"), (unit.key, "hit", "prices")]
    for _ in range(10_000):
        unit.saw_eligible("prices")
    late, at_once = joined.units.news()["late"], joined.heard()
    assert late
    assert len(late) + len(at_once) == 10_000
    assert read_report(late[-1].encode(), joined.seal) == (unit.key, "eligible", "prices")


def test_a_unit_that_does_not_end_has_failed_at_its_deadline_once(observer, tmp_path):
    run = Run(tmp_path, timeout_s=0.05, indicators=("served", "latency"))
    unit = run.begin({"journey": ""})
    time.sleep(0.06)
    (ended,) = run.units.news()["ended"]
    assert (ended["unit"], ended["error"], ended["values"]) == (unit.key, "timeout", {"served": 0.0, "latency": 0.05})
    unit.end("", {}, {"status": 200, "body": ""})
    assert run.units.news()["ended"] == []


async def test_without_a_run_nothing_is_changed_and_websockets_pass(observer):
    calls = []

    async def app(*arguments):
        calls.append(arguments)

    middleware = asgi.ObserveMiddleware(app, service="shop")
    arguments = [({"type": "http", "headers": []}, object(), object()), ({"type": "websocket"}, object(), object())]
    for each in arguments:
        await middleware(*each)
    assert all(given is got for each, call in zip(arguments, calls, strict=True) for given, got in zip(each, call, strict=True))


def test_a_process_is_of_one_service(observer):
    asgi.ObserveMiddleware(Shop(), service="shop")
    with pytest.raises(ValueError, match="of the service 'shop'"):
        wsgi.ObserveMiddleware(lambda *_: [], service="stock")


def test_an_indicator_that_is_not_here_is_refused():
    with pytest.raises(RefuteError) as caught:
        Judge([Indicator("served", "ratio", "no_such_module:served")])
    assert caught.value.problems[0].code == "OBSERVE-INDICATOR"


def wsgi_shop(units, pieces=(b'{"paid":', b" 3}"), status="200 OK", *, raises=False):
    def app(environ, start_response):
        units.append((current_unit.get(), environ.get("HTTP_BAGGAGE", "")))
        if raises:
            raise KeyError("x")
        start_response(status, [])

        def body():
            for piece in pieces:
                units.append((current_unit.get(), ""))
                yield piece

        return body()

    return app


def call_wsgi(app, **environ):
    body = app({"REQUEST_METHOD": "GET", "PATH_INFO": "/quote/tea", "SCRIPT_NAME": ""} | environ, lambda *_: None)
    try:
        return b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()


def test_wsgi_a_request_is_a_unit_to_the_end_of_its_body(joined):
    units = []
    app = wsgi.ObserveMiddleware(wsgi_shop(units), service="shop", fields=FIELDS, journeys=JOURNEYS)
    assert call_wsgi(app, HTTP_X_USER="ann") == b'{"paid": 3}'
    (start,) = joined.starts()
    (ended,) = joined.ended()
    assert {unit.key for unit, _ in units} == {start.key} == {ended["unit"]}
    assert joined.seal.opened(units[0][1]) == (start.key, start.side)
    assert (start.journey, ended["values"], ended["error"]) == ("quote", {"served": 1.0}, "")
    assert call_wsgi(app, PATH_INFO="/health") == b'{"paid": 3}'
    assert joined.starts() == []


def test_wsgi_failures_and_bodies_that_nobody_reads_to_the_end(joined):
    broken = wsgi.ObserveMiddleware(wsgi_shop([], status="500 Oh"), service="shop")
    assert call_wsgi(broken)
    with pytest.raises(KeyError):
        call_wsgi(wsgi.ObserveMiddleware(wsgi_shop([], raises=True), service="shop"))
    left = wsgi.ObserveMiddleware(wsgi_shop([]), service="shop")({"REQUEST_METHOD": "GET"}, lambda *_: None)
    next(left)
    left.close()
    assert [ended["error"] for ended in joined.ended(3)] == ["ServiceError", "KeyError", "Unfinished"]


@pytest.fixture
def tracer(observer):
    provider = TracerProvider()
    provider.add_span_processor(UnitSpanProcessor(service="shop", fields={"user": "enduser.id"}, journeys={"send *": "receipt"}))
    return provider.get_tracer("test")


def test_spans_that_enter_are_units_and_no_others(observer, tracer, tmp_path):
    observer.joined = observed = Run(tmp_path, audience=BY_USER)
    with tracer.start_as_current_span("send receipt", kind=SpanKind.CONSUMER, attributes={"enduser.id": "ann"}):
        unit = current_unit.get()
        with tracer.start_as_current_span("send inner", kind=SpanKind.SERVER):
            assert current_unit.get() is unit
        assert current_unit.get() is unit
    assert current_unit.get() is None
    for name, kind in [("send receipt", SpanKind.CLIENT), ("tidy up", SpanKind.CONSUMER), ("send receipt", SpanKind.INTERNAL)]:
        with tracer.start_as_current_span(name, kind=kind):
            assert current_unit.get() is None
    (start,) = observed.starts()
    treated = in_treatment(1, BY_USER.subject({"user": "ann"}), 0.5)
    assert (start.key, start.journey, start.side == "treatment") == (unit.key, "receipt", treated)


def test_a_span_that_ends_badly_has_failed(observer, tracer, tmp_path):
    observer.joined = run = Run(tmp_path, indicators=("latency",))
    with pytest.raises(OSError, match="mail"), tracer.start_as_current_span("send receipt", kind=SpanKind.CONSUMER):
        raise OSError("mail")
    with tracer.start_as_current_span("send receipt", kind=SpanKind.SERVER, attributes={"http.response.status_code": 502}):
        pass
    with tracer.start_as_current_span("send receipt", kind=SpanKind.SERVER, attributes={"http.response.status_code": 404}):
        pass
    assert [ended["error"] for ended in run.ended(3)] == ["SpanError", "ServiceError", ""]


def test_a_span_with_a_unit_in_its_baggage_belongs_to_it(joined, tracer):
    context = None
    for member in joined.seal.baggage("u/1", "control").split(","):
        name, _, value = member.partition("=")
        context = otel_baggage.set_baggage(name, value.replace("%2F", "/"), context)
    with tracer.start_as_current_span("send receipt", kind=SpanKind.CONSUMER, context=context):
        assert (current_unit.get().key, current_unit.get().arm) == ("u/1", "control")
    assert current_unit.get() is None
    assert joined.starts() == []
