import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from refute.campaign.standing import Standing
from refute.campaign.suggest import suggest
from refute.campaign.wording import Model
from refute.core.errors import RefuteError
from refute.faults.catalogue import catalogue
from refute.intent import load, loads
from refute.learning import Claim, Counts
from support.intents import VALID, project


@pytest.fixture
def intent(tmp_path):
    return load(project(tmp_path, VALID))


def standings(intent, **verdicts):
    told = {}
    for belief in intent.beliefs.values():
        word = verdicts.get(belief.id.replace("-", "_"), "")
        seen = {"held": Counts(0, 200), "refuted": Counts(60, 200)}.get(word, Counts())
        told[belief.id] = Standing(belief, Claim(belief.confidence, 0.05, seen), word)
    return told


def found(intent, incidents=(), **verdicts):
    return suggest(intent, standings(intent, **verdicts), catalogue(), incidents)


def test_nothing_that_is_stated_is_suggested_and_everything_could_strike(intent):
    stated = {(belief.when.fault, belief.when.target) for belief in intent.beliefs.values()}
    for one in found(intent):
        when = one.belief.when
        assert (when.fault, when.target) not in stated
        assert intent.system.components[when.target].kind in catalogue()[when.fault].kinds


def test_the_best_come_first(intent):
    worths = [one.worth for one in found(intent)]
    assert worths == sorted(worths, reverse=True)
    assert worths[0] > 0


def test_what_is_off_limits_is_never_suggested(intent):
    assert intent.blast_radius.never
    assert not {one.belief.when.target for one in found(intent)} & intent.blast_radius.never


def test_tested_relatives_lend_their_confidence(intent):
    def confidence(**verdicts):
        return next(one.belief.confidence for one in found(intent, **verdicts) if one.belief.when.fault == "llm.server_error")

    assert confidence(rate_limits_absorbed="refuted") < confidence() < confidence(rate_limits_absorbed="held")


def test_an_incident_moves_what_is_like_it_up(intent):
    def place(incidents):
        return [one.belief.when.fault for one in found(intent, incidents)].index("stream.slow_tokens")

    assert place(["the tokens came slowly for an hour"]) < place([])


def test_a_suggestion_can_be_pasted(intent, tmp_path):
    data = yaml.safe_load(VALID)
    data["beliefs"] += [one.stated() for one in found(intent)[:5]]
    pasted = loads(data, tmp_path)
    assert len(pasted.beliefs) == len(intent.beliefs) + 5


@pytest.fixture
def model():
    """An OpenAI-compatible server, its answer, and what it was asked."""
    says, asked = {"status": 200, "content": "Customers still get an answer."}, []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append((self.path, self.headers.get("authorization"), json.loads(self.rfile.read(int(self.headers["content-length"])))))
            body = json.dumps({"choices": [{"message": {"role": "assistant", "content": says["content"]}}]}).encode()
            self.send_response(says["status"])
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}/v1", says, asked
    running.shutdown()


def test_a_model_words_the_claim(intent, model):
    url, _, asked = model
    assert Model(url, "m", "secret").word(found(intent)[0], "shop", "It fails.") == "Customers still get an answer"
    path, authorization, body = asked[0]
    assert (path, authorization, body["model"]) == ("/v1/chat/completions", "Bearer secret", "m")


@pytest.mark.parametrize(
    ("status", "content"),
    [(401, "x"), (200, ""), (200, "x" * 500), (200, "Hello! What can I do for you?"), (200, "It holds. It always did.")],
)
def test_a_model_that_does_not_answer_well_is_told_without_its_key(intent, model, status, content):
    url, says, _ = model
    says |= {"status": status, "content": content}
    with pytest.raises(RefuteError, match="SUGGEST-MODEL") as caught:
        Model(url, "m", "secret").word(found(intent)[0], "shop", "It fails.")
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(Model(url, "m", "secret"))


def test_an_incident_is_not_recognised_by_its_small_words(intent):
    plain, told = found(intent), found(intent, incidents=["after that it was not there when they had been"])
    assert [one.belief.id for one in told] == [one.belief.id for one in plain]


def test_a_model_that_is_down_is_told(intent):
    with pytest.raises(RefuteError, match="SUGGEST-MODEL"):
        Model("http://127.0.0.1:9/v1", "m").word(found(intent)[0], "shop", "It fails.")
