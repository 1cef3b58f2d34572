"""The report in a real browser."""

from __future__ import annotations

import shutil

import pytest
from story import Story

from refute.core.events import Event
from refute.insight.report import write_report

pytestmark = pytest.mark.browser

HOSTILE = '</script><img src="http://192.0.2.1/x" onerror="window.hurt=1"><script>window.hurt=1</script>'
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium")
    if path is None:
        pytest.fail("chromium is missing; type: apt-get install -y chromium")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return write_report(Story().events(), tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture
def visit(browser):
    """Open a file in a page that keeps what it complains of and asks for."""
    contexts = []

    def opened(path, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.complaints, page.asked = [], []
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector("figure .plot svg")
        return page

    yield opened
    for context in contexts:
        context.close()


def ground(page) -> str:
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_nothing_is_asked_of_the_network_and_nothing_complains(visit, report):
    page = visit(report)
    page.wait_for_timeout(300)
    assert page.asked == [report.as_uri()]
    assert page.complaints == []


def test_every_plot_has_drawn(visit, report):
    page = visit(report)
    plots = page.evaluate("""[...document.querySelectorAll('.plot')].map(p => {
        const box = p.querySelector('svg').getBoundingClientRect();
        return [box.width, box.height, p.querySelectorAll('path,circle,rect').length];
    })""")
    assert len(plots) >= 4 * 4 + 5, "four or five an experiment, and one a belief"
    assert all(width > 80 and height > 15 and shapes >= 3 for width, height, shapes in plots)
    lines = page.evaluate("[...document.querySelectorAll('.plot path.line')].map(line => line.getTotalLength())")
    assert min(lines) > 50


def test_the_verdict_stands_in_words(visit, report):
    page = visit(report)
    assert page.locator("h3", has_text="Refuted: Provider rate limits never reach the customer").count() == 1
    assert page.locator(".proofs .ok", has_text="of 166 eligible calls hit").count() == 1


def test_dark_and_light_differ(visit, report):
    light, dark = (ground(visit(report, color_scheme=scheme)) for scheme in ("light", "dark"))
    assert light == "rgb(250, 249, 246)"
    assert dark == "rgb(18, 20, 25)"


@pytest.mark.parametrize("width", [400, 1200])
def test_nothing_overflows_the_window(visit, report, width):
    page = visit(report, viewport={"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_plots_follow_the_window(visit, report):
    page = visit(report, viewport={"width": 1200, "height": 900})
    page.set_viewport_size({"width": 500, "height": 900})
    page.wait_for_timeout(200)
    widest = page.evaluate("Math.max(...[...document.querySelectorAll('.plot svg')].map(s => s.viewBox.baseVal.width))")
    assert widest <= 500


def test_a_plot_can_be_read_with_the_keyboard(visit, report):
    page = visit(report)
    plot = page.locator("figure.wide .plot svg").first
    plot.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    said = page.locator("figure.wide .reading").first.inner_text()
    assert "treatment" in said
    assert "control" in said


def test_every_plot_has_a_name_and_every_figure_its_numbers(visit, report):
    page = visit(report)
    assert page.evaluate("[...document.querySelectorAll('.plot svg')].every(s => s.getAttribute('aria-label').length > 10)")
    figures = page.locator("figure:has(.plot):not(:has(.learned))")
    assert figures.count() == page.locator("figure:has(.plot):not(:has(.learned)):has(details.numbers table tbody tr)").count() > 0


def test_another_indicator_can_be_chosen(visit, report):
    page = visit(report)
    page.locator("figure.wide .tabs button", has_text="latency").first.click()
    assert page.locator("figure.wide .tabs button[aria-pressed=true]").first.inner_text() == "latency"
    assert "latency over time" in page.locator("figure.wide .plot svg").first.get_attribute("aria-label")


def test_hostile_claims_are_inert_text(visit, tmp_path):
    page = visit(write_report(Story(scale=0.2, claim=HOSTILE).events(2), tmp_path / "report.html"))
    page.wait_for_timeout(200)
    assert page.evaluate("window.hurt === undefined")
    assert page.locator("img").count() == 0
    assert page.locator("h3").first.inner_text().endswith(HOSTILE)
    assert [page.asked, page.complaints] == [[(tmp_path / "report.html").as_uri()], []]


def test_an_unproven_rollback_is_an_alarm(visit, tmp_path):
    page = visit(write_report(Story(scale=0.2, rollback_ok=False).events(1), tmp_path / "report.html"))
    assert "refute recover" in page.locator("[role=alert]").inner_text()


def trained(experiment):
    """Return the story of one experiment with training runs in it: with the fault the loss ends at step 6."""
    for seed in (1, 2, 3):
        for arm in ("control", "treatment"):
            struck = arm == "treatment"
            steps = [[0.1 * at, step, None if struck and step > 6 else 2.0 / step] for at, step in enumerate([*range(1, 9), *range(4, 13)])]
            yield Event("training", {
                "experiment": experiment, "phase": "inject", "seed": seed, "arm": arm, "seconds": 2.0, "error": "", "metrics": {},
                "steps": steps, "hits": [{"at_s": 0.5, "step": 6, "effect": "<b>one NaN</b>"}] if struck else [], "failures": [0.8],
                "told_s": [0.8], "setbacks": [{"lost": 5, "from_s": 0.7, "to_s": 1.3}],
            })  # fmt: skip


def test_training_runs_have_their_losses_overlaid_and_their_recovery_in_time(visit, tmp_path):
    *events, last = Story(scale=0.2).events(1)
    experiment = next(event.data["experiment"] for event in events if event.kind == "experiment")
    page = visit(write_report([*events, *trained(experiment), last], tmp_path / "report.html"))
    loss, recovery = (page.locator("figure.wide", has=page.locator("strong", has_text=name)) for name in ("Loss", "Recovery"))
    assert loss.locator("path.line.faint").count() == 6
    assert loss.locator("text.cross.treatment").count() == 3
    assert recovery.locator(".plot rect.bar.refuted").count() == 3
    assert "<b>one NaN</b> at step 6" in recovery.locator("table").text_content()
    assert page.complaints == []


def test_it_can_be_printed(visit, report):
    page = visit(report, color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert ground(page) == "rgb(255, 255, 255)"
    assert len(page.pdf()) > 50_000
