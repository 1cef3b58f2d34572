import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from refute.core.errors import RefuteError
from refute.safety.notices import MOMENTS, Notice, Notices, Receiver, receiver

STARTED = Notice("started", "e1", "shop", "production", "llm.rate_limit on llm, 5 % of units")


@pytest.fixture
def hook():
    """A webhook: what it got, and the statuses with which it answers, the last for good."""
    got, statuses = [], [200]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
            if status == 200:
                got.append(body)
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}/T0/secret", got, statuses
    running.shutdown()


def tell(url, *notices, moments=MOMENTS):
    failed = []
    with Notices((Receiver("webhook", url, "HOOK", frozenset(moments)),), failed.append) as told:
        for notice in notices:
            told.tell(notice)
    return failed


def test_slack_gets_one_line_of_text():
    assert STARTED.body("slack", "") == {"text": ":test_tube: *Refute* shop, production: llm.rate_limit on llm, 5 % of units"}


def test_pagerduty_gets_an_event_that_the_end_of_the_run_resolves():
    body = STARTED.body("pagerduty", "key")
    assert (body["routing_key"], body["event_action"], body["dedup_key"]) == ("key", "trigger", "refute-e1")
    assert body["payload"]["severity"] == "info"
    stopped = Notice("stopped", "e1", "shop", "", "held").body("pagerduty", "key")
    assert (stopped["event_action"], stopped["dedup_key"]) == ("resolve", "refute-e1")
    assert Notice("unproven", "e1", "shop", "", "x").body("pagerduty", "key")["payload"]["severity"] == "critical"


def test_people_are_told_in_order_of_what_they_asked_for(hook):
    url, got, _ = hook
    stopped = Notice("stopped", "e1", "shop", "", "held")
    assert tell(url, STARTED, stopped, moments=["stopped"]) == []
    assert [body["moment"] for body in got] == ["stopped"]


def test_a_receiver_that_is_busy_is_tried_again(hook):
    url, got, statuses = hook
    statuses[:] = [503, 429, 200]
    assert tell(url, STARTED) == []
    assert len(got) == 1


@pytest.mark.parametrize("status", [404, 500])
def test_what_cannot_be_delivered_is_told_once_without_the_secret(hook, status):
    url, _, statuses = hook
    statuses[:] = [status]
    failed = tell(url, STARTED, STARTED)
    assert len(failed) == 1
    assert "HOOK" in failed[0]
    assert "secret" not in failed[0]


def test_a_receiver_that_is_down_holds_nothing_up():
    failed = tell("http://127.0.0.1:9/T0/secret", STARTED)
    assert len(failed) == 1
    assert "secret" not in failed[0]


def test_the_address_comes_from_the_environment_and_is_never_shown():
    made = receiver("slack", "SLACK", frozenset(MOMENTS), {"SLACK": "https://hooks.example/T0/secret"})
    assert "secret" not in repr(made)
    with pytest.raises(RefuteError, match="NOTICE-SECRET"):
        receiver("slack", "SLACK", frozenset(MOMENTS), {})
    with pytest.raises(RefuteError, match="NOTICE-URL") as caught:
        receiver("slack", "SLACK", frozenset(MOMENTS), {"SLACK": "secret"})
    assert "secret" not in str(caught.value)
