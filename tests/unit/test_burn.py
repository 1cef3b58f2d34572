import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from refute.core.errors import RefuteError
from refute.safety.burn import Burn, Events, Prometheus, burn_rates, too_fast


def test_a_burn_rate_of_one_spends_the_budget_in_its_window():
    assert Events(1, 100).burn(0.99) == pytest.approx(1.0)
    assert Events(5, 100).burn(0.99) == pytest.approx(5.0)
    assert Events(0, 0).burn(0.99) == 0.0


def test_each_window_is_counted_once_though_two_pairs_share_one():
    asked = []

    def count(window_s):
        asked.append(window_s)
        return Events(2, 100)

    burns = burn_rates(count, 0.99)
    assert len(asked) == len(set(asked)) == 5
    assert all(burn.long == burn.short == pytest.approx(2.0) for burn in burns)


@pytest.mark.parametrize(
    ("long", "short", "refused"), [(0.5, 9.0, False), (9.0, 0.5, False), (1.2, 1.2, True), (0.99, 0.99, False), (20.0, 30.0, True)]
)
def test_an_experiment_waits_while_both_windows_burn_faster_than_the_budget_lasts(long, short, refused):
    problem = too_fast([Burn(3600, 300, 14.4, long, short)])
    assert (problem is not None) is refused
    assert not refused or problem.code == "GATE-BURN"


def test_both_windows_must_be_above_the_threshold_to_page():
    assert Burn(3600, 300, 14.4, 15.0, 15.0).pages
    assert not Burn(3600, 300, 14.4, 15.0, 10.0).pages


@pytest.fixture
def server():
    """Answers queries as Prometheus does: /api/v1/query, with the value by query."""
    answers = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)["query"][0]
            if parts.path != "/api/v1/query" or query not in answers:
                body = {"status": "error", "errorType": "bad_data", "error": f"unknown {query}"}
            else:
                values = answers[query]
                result = [{"metric": {}, "value": [1_700_000_000.0, str(value)]} for value in values]
                body = {"status": "success", "data": {"resultType": "vector", "result": result}}
            text = json.dumps(body).encode()
            self.send_response(200 if body["status"] == "success" else 400)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}", answers
    running.shutdown()


def test_prometheus_is_asked_for_both_rates_over_the_window(server):
    url, answers = server
    answers |= {"sum(bad[300s])": [0.5], "sum(all[300s])": [50.0]}
    assert Prometheus(url, "sum(bad[$window])", "sum(all[$window])")(300.0) == Events(0.5, 50.0)


def test_no_bad_event_ever_is_none_but_no_event_at_all_is_unknown(server):
    url, answers = server
    answers |= {"bad": [], "all": [50.0], "nothing": []}
    assert Prometheus(url, "bad", "all")(300.0) == Events(0.0, 50.0)
    with pytest.raises(RefuteError, match="SLO-PROMETHEUS"):
        Prometheus(url, "bad", "nothing")(300.0)


@pytest.mark.parametrize("query", ["wrong", "two"])
def test_what_is_no_number_is_unknown_never_well(server, query):
    url, answers = server
    answers |= {"all": [50.0], "two": [1.0, 2.0]}
    with pytest.raises(RefuteError, match="SLO-PROMETHEUS"):
        Prometheus(url, query, "all")(300.0)


def test_a_server_that_is_down_is_unknown_never_well():
    with pytest.raises(RefuteError, match="SLO-PROMETHEUS"):
        Prometheus("http://127.0.0.1:9", "bad", "all")(300.0)
