"""The page in a real browser: it asks for nothing, complains of nothing, and its plots are there to be seen."""

import io
import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from skfair.datasets import make_biased_classification
from skfair.reporting import AuditReport, audit_report

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
MARKUP = "<script>document.title = 'run'</script><img src='http://localhost:9/x.png'>"


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    found = next((path for path in map(shutil.which, NAMES) if path), None)
    if found is None:
        pytest.skip(f"needs an installed Chromium: none of {', '.join(NAMES)} is on the path")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def binary():
    """A classifier beside a baseline, two sensitive features, and markup wherever a name can stand."""
    data = make_biased_classification(600, random_state=0)
    X, y = np.asarray(data.data), np.asarray(data.target)
    side = np.where(X[:, 1] > 1.5, MARKUP, "right")
    groups = pd.DataFrame({"group": np.asarray(data.sensitive_features).ravel(), MARKUP: side})
    model, before = DecisionTreeClassifier(max_depth=3).fit(X, y), LogisticRegression().fit(X, y)
    return audit_report(
        model, X, y, sensitive_features=groups, baseline=before, title=MARKUP, description=MARKUP, n_boot=50, random_state=0
    )  # fmt: skip


@pytest.fixture(scope="module")
def many():
    """Three classes, 60 groups with long names, one of them without a space to break at."""
    rng = np.random.default_rng(0)
    y, group = rng.integers(3, size=900), np.arange(900) % 60
    names = np.array([f"the {g}th of many groups, whose names are long" for g in range(59)] + ["x" * 120])
    predicted = np.where(rng.random(900) < 0.7, y, 0)
    return AuditReport.from_predictions(
        y, predicted, sensitive_features=names[group], n_boot=20, random_state=0, min_count=3
    )


class Visit:
    """One visit to a page, with all that the browser asked for or complained of."""

    def __init__(self, browser, path, width=1280, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page = context.new_page()
        self.asked, self.complaints = [], []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(path.as_uri())

    def evaluate(self, expression):
        return self.page.evaluate(expression)

    def close(self):
        self.page.context.close()


@pytest.fixture
def visit(browser, tmp_path):
    visits = []

    def open_page(audit, **options):
        audit.save(tmp_path / "audit.html")
        visits.append(Visit(browser, tmp_path / "audit.html", **options))
        return visits[-1]

    yield open_page
    for one in visits:
        one.close()


def pictures(page):
    """What is seen of each plot, cut out of one picture of the whole page."""
    from PIL import Image

    boxes = page.evaluate(
        "[...document.querySelectorAll('figure svg')].map(s => s.getBoundingClientRect())"
        ".map(b => [b.left, b.top + scrollY, b.right, b.bottom + scrollY])"
    )
    with Image.open(io.BytesIO(page.screenshot(full_page=True))) as image:
        return [np.asarray(image.convert("RGB").crop([round(edge) for edge in box])) for box in boxes]


def colours(image):
    return len(np.unique(image.astype(int) @ (1, 256, 65536)))


SIZES = "[...document.querySelectorAll('figure svg')].map(s => [s.getBoundingClientRect().width, s.getBBox().width])"
TABLES = "[...document.querySelectorAll('table')].map(t => [t.caption.innerText, t.tBodies[0].rows.length])"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
TEXT_SIZE = """Math.min(...[...document.querySelectorAll('figure svg text')].map(t =>
parseFloat(getComputedStyle(t).fontSize) * t.ownerSVGElement.getBoundingClientRect().width
/ t.ownerSVGElement.viewBox.baseVal.width))"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_in_chromium(visit, binary, scheme):
    seen = visit(binary, scheme=scheme)
    assert [url.rsplit("/", 1)[1] for url in seen.asked] == ["audit.html"]
    assert seen.complaints == []
    assert seen.page.title() == MARKUP  # as text: it did not run
    assert seen.evaluate("document.scripts.length + document.images.length") == 0
    assert seen.evaluate(OVERFLOW) == 0
    shown = pictures(seen.page)
    assert len(shown) == 4 + 1 + 2 + 2 * 3 + 2  # rates, gaps, outcomes, scores, cost
    assert all(width > 200 and drawn > 150 for width, drawn in seen.evaluate(SIZES))
    assert all(colours(image) > 20 for image in shown)
    background = np.median(shown[0].reshape(-1, 3), axis=0)
    assert background.max() < 60 if scheme == "dark" else background.min() == 255
    rows = dict(seen.evaluate(TABLES))
    n_groups = len(binary.report.by_group)
    assert n_groups == 4
    assert rows["Rates of each group, model, with intervals"] == n_groups + 1
    assert rows["Gaps between groups, with intervals"] == len(binary.report.gaps)
    assert rows["Counts of rows, baseline"] == rows["Scores of each group, model"] == n_groups + 1


def test_many_groups_in_chromium(visit, many):
    seen = visit(many)
    assert (len(seen.asked), seen.complaints) == (1, [])
    assert seen.evaluate(OVERFLOW) == 0
    rows = dict(seen.evaluate(TABLES))
    assert rows["Rates of each group, with intervals"] == 61
    assert rows["Share of the group predicted as each label"] == 60
    assert rows["Counts of rows. The 20 largest of 60 groups."] == 20 * 3
    assert all(colours(image) > 20 for image in pictures(seen.page))
    # every link of the contents leads to a heading on the page
    for link in seen.page.query_selector_all("nav a"):
        link.click()
        target = seen.page.query_selector(link.get_attribute("href"))
        assert abs(target.bounding_box()["y"]) < 900


@pytest.mark.parametrize("which", ["binary", "many"])
def test_a_narrow_page(visit, which, request):
    seen = visit(request.getfixturevalue(which), width=400)
    assert seen.complaints == []
    assert seen.evaluate(OVERFLOW) == 0  # tables scroll by themselves
    assert seen.evaluate(TEXT_SIZE) > 7  # plots stay legible: each shrinks alone
    assert all(340 < shown <= 400 for shown, _ in seen.evaluate(SIZES))


def test_a_page_on_paper(visit, many):
    seen = visit(many, scheme="dark")
    seen.page.emulate_media(media="print")
    assert seen.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    heights = "[...document.querySelectorAll('.scroll')].every(s => s.scrollHeight - s.clientHeight < 2)"
    assert seen.evaluate(heights)  # nothing is hidden behind a scroll bar


def test_what_a_notebook_shows(browser, many):
    context = browser.new_context()
    page, complaints = context.new_page(), []
    page.on("console", lambda message: complaints.append(message.text))
    page.set_content(f"<p id='before'>cell</p>{many._repr_html_()}")
    frame = page.wait_for_selector("iframe").content_frame()
    frame.wait_for_selector("main h2")
    assert frame.query_selector("h1").inner_text() == "Audit of predictions"
    assert page.evaluate("getComputedStyle(document.getElementById('before')).fontFamily") != frame.evaluate(
        "getComputedStyle(document.body).fontFamily"
    )
    assert complaints == []
    context.close()
