import pytest

from refute.core.errors import RefuteError
from refute.intent.objectives import Objective, read_objectives

SLOTH = """\
version: "prometheus/v1"
service: "support"
slos:
  - name: "answers"
    objective: 99.5
    sli:
      events:
        error_query: sum(rate(http_requests_total{code=~"5.."}[{{.window}}]))
        total_query: sum(rate(http_requests_total[{{ .window }}]))
  - name: "raw"
    objective: 99
    sli: {raw: {error_ratio_query: "x"}}
"""
SLOTH_KUBERNETES = """\
apiVersion: sloth.slok.dev/v1
kind: PrometheusServiceLevel
metadata: {name: support}
spec:
  service: support
  slos:
    - name: answers
      objective: 99.5
      sli:
        events:
          errorQuery: sum(rate(bad[{{.window}}]))
          totalQuery: sum(rate(all[{{.window}}]))
"""
OPENSLO = """\
apiVersion: openslo/v1
kind: Service
metadata: {name: support}
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: answers}
spec:
  service: support
  indicator:
    metadata: {name: good-answers}
    spec:
      ratioMetric:
        counter: true
        good: {metricSource: {type: Prometheus, spec: {query: 'sum(increase(good_total[1m]))'}}}
        total: {metricSource: {type: Prometheus, spec: {query: 'requests_total{app="x"}'}}}
  timeWindow: [{duration: 4w, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.99}]
"""


def read(tmp_path, text):
    path = tmp_path / "slo.yaml"
    path.write_text(text)
    return read_objectives(path)


def test_sloth_files_are_read_and_ratios_without_counts_left_out(tmp_path):
    bad, total = 'sum(rate(http_requests_total{code=~"5.."}[$window]))', "sum(rate(http_requests_total[$window]))"
    assert read(tmp_path, SLOTH) == [Objective("answers", 0.995, 2_592_000.0, bad, total)]
    assert read(tmp_path, SLOTH_KUBERNETES)[0].bad == "sum(rate(bad[$window]))"


def test_openslo_files_are_read(tmp_path):
    total = 'sum(increase(requests_total{app="x"}[$window]))'
    bad = f"({total}) - (sum(increase(good_total[$window])))"
    assert read(tmp_path, OPENSLO) == [Objective("answers", 0.99, 28 * 86_400.0, bad, total)]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: [", "SLO-FILE"),
        ("", "SLO-NONE"),
        ("version: prometheus/v1\nslos: [{name: x}]", "SLO-NONE"),
        (OPENSLO.replace("0.99", "99"), "SLO-FILE"),
        (OPENSLO.replace("[1m]", ""), "SLO-FILE"),
        (OPENSLO.replace("objectives: [{target: 0.99}]", ""), "SLO-FILE"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path, text, code):
    with pytest.raises(RefuteError, match=code):
        read(tmp_path, text)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RefuteError, match="SLO-FILE"):
        read_objectives(tmp_path / "none.yaml")
