"""audit_report: its numbers are those of group_report, its text is escaped, its file the same each time."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from skfair.metrics import demographic_parity_difference, equalized_odds_difference, group_report
from skfair.reporting import AuditReport, audit_report
from skfair.reporting._asked import answer_of, describe, given_answer
from skfair.reporting._curves import constants, reliability, roc, score_table, threshold_curve
from skfair.reporting._study import make_study

RNG = np.random.default_rng(0)
N = 400
X = RNG.normal(size=(N, 3))
SEX = np.where(X[:, 0] + RNG.normal(size=N) > 0, "m", "f")
Y = (X[:, 0] + X[:, 1] + RNG.normal(size=N) > 0).astype(int)
LOGISTIC = LogisticRegression().fit(X, Y)
QUICK = {"n_boot": 50, "random_state": 0}
OPTIONS = {"n_boot": 50, "random_state": 0, "confidence_level": 0.95, "min_count": 10}


class Page(HTMLParser):
    """Tags, text and tables of a page; a tag that is not closed is an error."""

    VOID = {"meta", "link", "br"}

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.words, self.tables = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "tr":
            self.tables.append([])
        if tag in ("td", "th"):
            self.tables[-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)
        if "tr" in self.open:
            self.tables[-1][-1] += data + " "

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def audit():
    return audit_report(LOGISTIC, X, Y, sensitive_features=SEX, **QUICK)


def test_the_report_is_that_of_group_report(audit):
    score = LOGISTIC.predict_proba(X)[:, 1]
    plain = group_report(Y, LOGISTIC.predict(X), sensitive_features=SEX, y_score=score, **QUICK)
    pd.testing.assert_frame_equal(audit.report.by_group, plain.by_group)
    pd.testing.assert_frame_equal(audit.report.gaps, plain.gaps)
    rows = [" ".join(cell.split()) for row in Page(audit.html).tables for cell in row]
    for value, low, high in plain.gaps[["estimate", "low", "high"]].to_numpy():
        assert f"{value:.3f} [{low:.3f}, {high:.3f}]".replace("-", "\N{MINUS SIGN}") in rows
    gap = plain.gaps.set_index("metric").loc["demographic_parity_difference"]
    low, high = plain.by_group["selection_rate"]
    sentence = f"Selection rates differ by {gap['estimate']:.3f} [{gap['low']:.3f}, {gap['high']:.3f}] between groups: "
    assert f"{sentence}f {low:.3f}, m {high:.3f}." in Page(audit.html).text
    assert "<AuditReport: 400 rows, 2 groups" in repr(audit)


def test_the_page_is_whole_and_names_nothing_outside(audit):
    page = Page(audit.html)
    tags = [tag for tag, _ in page.tags]
    assert not {"script", "link", "img", "iframe", "object"} & set(tags)
    assert tags.count("h1") == 1
    assert tags.count("svg") == 11
    assert all(len(attrs["aria-label"]) > 40 for tag, attrs in page.tags if tag == "svg")
    sources = [v for _, attrs in page.tags for k, v in attrs.items() if k in ("src", "href", "xlink:href", "action")]
    assert sources
    assert all(source.startswith("#") for source in sources)
    assert not re.findall(r"@import|url\((?!#)", audit.html)
    targets = [attrs["href"][1:] for tag, attrs in page.tags if tag == "a"]
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert targets
    assert set(targets) <= set(ids)
    assert "http" not in page.text
    assert not re.search(r"#01fe|0x[0-9a-f]{6}", audit.html)  # our colours' stand-ins; addresses in memory


def test_global_state_stays_as_it_is():
    import matplotlib
    import matplotlib.pyplot as plt

    def state():
        return dict(matplotlib.rcParams), repr(np.random.get_state()), plt.get_fignums()  # noqa: NPY002

    before = state()
    AuditReport.from_predictions(Y, Y, sensitive_features=SEX, **QUICK)
    assert state() == before


EVIL = "<script>alert(\"x\")</script>--> $x_1$ & 'y' %s {0}"


def test_all_text_is_escaped():
    groups = pd.DataFrame({EVIL: np.where(SEX == "f", EVIL, "m"), "b": np.where(X[:, 2] > 0, "\u5973", None)})
    named = np.where(Y == 1, EVIL, "no")
    audit = AuditReport.from_predictions(
        named, named, sensitive_features=groups, pos_label=EVIL, title=EVIL, description=f"{EVIL}\n\n{EVIL}",
        y_score=Y.astype(float), baseline=np.roll(named, 1), **QUICK,
    )  # fmt: skip
    page = Page(audit.html)
    assert "script" not in {tag for tag, _ in page.tags}
    assert EVIL in page.text
    assert page.words.count(EVIL) > 10  # as text: groups, column, title, label
    assert "\u5973" in page.text
    assert "missing" in page.text
    assert any("are a group of their own" in notice for notice in audit.notices)
    assert "<iframe srcdoc=" in audit._repr_html_()
    assert "<script" not in audit._repr_html_()


class Odd(BaseEstimator):
    """A parameter with markup in its text, and one that is long."""

    def __init__(self, name=None, values=()):
        self.name = name
        self.values = values

    def predict(self, X):
        return (np.asarray(X)[:, 0] > 0).astype(int)


def test_parameters_are_escaped_and_shortened():
    model = Odd(EVIL, list(range(10_000)))
    audit = audit_report(model, X, Y, sensitive_features=SEX, n_boot=0)
    assert "<script" not in audit.html
    assert len(audit.html) < 150_000
    assert "neither predict_proba nor decision_function" in audit.notices[0]
    assert answer_of(Odd(print), X, Y, "model").parameters == {"name": "<built-in function print>"}
    address = answer_of(Odd(object()), X, Y, "model").parameters["name"]
    assert address == "<object object>"


@pytest.mark.parametrize(
    "model",
    [DecisionTreeClassifier(max_depth=2), LinearSVC(), make_pipeline(StandardScaler(), LogisticRegression())],
    ids=lambda model: type(model).__name__,
)
def test_what_is_asked_of_a_classifier(model):
    named = np.array(["no", "yes"])[Y]
    model.fit(X, named)
    for positive in ("yes", "no"):
        scores = answer_of(model, X, named, "model").scores(positive, ["no", "yes"])
        assert scores.probability == hasattr(model, "predict_proba")
        assert roc_auc_score(named == positive, scores.values) > 0.7
    assert "sklearn" in describe(model)["Library"]


class Foreign:
    """No scikit-learn: no parameters, no classes_, one column of probabilities."""

    def __init__(self, columns):
        self.columns = columns

    def predict(self, X):
        return pl.Series((X[:, 0] > 0).astype(int)) if self.columns == 1 else (X[:, :1] > 0).astype(int)

    def predict_proba(self, X):
        p = 1 / (1 + np.exp(-X[:, 0]))
        return {1: p[:, None], 2: np.stack([1 - p, p], 1), 3: np.stack([p, p, p], 1)}[self.columns]


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_a_classifier_of_no_library(columns):
    answer = answer_of(Foreign(columns), X, Y, "model")
    scores = answer.scores(1, [0, 1])
    if columns == 3:
        assert scores.values is None
        assert "shape (400, 3) for the labels [0, 1]" in scores.notice
    else:
        np.testing.assert_allclose(scores.values, 1 / (1 + np.exp(-X[:, 0])))
        np.testing.assert_allclose(answer.scores(0, [0, 1]).values, 1 - scores.values)
    assert answer.about["Classifier"] == "Foreign"
    assert answer.parameters == {}


# ---------------------------------------------------------------------- the numbers behind the plots
def test_threshold_curve_against_one_threshold_at_a_time():
    score, group, weight = np.round(X[:, 1], 1), (SEX == "m").astype(int), RNG.random(N)
    curve = threshold_curve(score, Y == 1, group, weight)
    for row in curve.iloc[[0, 5, 20, -2, -1]].itertuples():
        chosen = (score >= row.threshold).astype(int)
        own = {"sensitive_features": group, "sample_weight": weight}
        assert row.selected == pytest.approx(np.average(chosen, weights=weight))
        assert row.accuracy == pytest.approx(np.average(chosen == Y, weights=weight))
        assert row.demographic_parity_difference == pytest.approx(demographic_parity_difference(Y, chosen, **own))
        assert row.equalized_odds_difference == pytest.approx(equalized_odds_difference(Y, chosen, **own))
    ends = constants(Y == 1, group)
    assert ends["selected"].tolist() == [0, 1]
    assert ends["demographic_parity_difference"].tolist() == [0, 0]
    assert ends["accuracy"].tolist() == pytest.approx([1 - Y.mean(), Y.mean()])


def test_roc_and_reliability():
    score = LOGISTIC.predict_proba(X)[:, 1]
    fpr, tpr, area = roc(Y == 1, score, most=20)
    assert area == pytest.approx(roc_auc_score(Y, score))
    assert len(fpr) == len(tpr) == 20
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    assert roc(Y == 2, score) is None
    x, y = reliability(Y == 1, score, least=1)
    own = (score >= 0.3) & (score < 0.4)
    assert score[own].mean() == pytest.approx(x[3])
    assert Y[own].mean() == pytest.approx(y[3])
    assert reliability(Y == 1, np.ones(N))[1].tolist() == [Y.mean()]


@pytest.mark.parametrize("weight", [None, RNG.random(N)])
def test_changes_are_of_the_same_resamples(weight):
    """Against rows drawn one resample after another; equal classifiers do not differ at all."""
    before, after = LOGISTIC.predict(X), (X[:, 1] > 0).astype(int)

    def study(first, second, **options):
        answers = [answer_of(_Given(pred), X, Y, name) for pred, name in ((first, "model"), (second, "baseline"))]
        return make_study(Y, answers, SEX, weight, None, **{**OPTIONS, **options})

    row = study(after, before, n_boot=2000).changes.set_index("metric").loc["demographic_parity_difference"]
    rng, drawn = np.random.default_rng(1), []
    for _ in range(400):
        rows = rng.integers(N, size=N)
        own = {"sensitive_features": SEX[rows], "sample_weight": None if weight is None else weight[rows]}
        drawn.append(np.subtract(*(demographic_parity_difference(Y[rows], p[rows], **own) for p in (after, before))))
    own = {"sensitive_features": SEX, "sample_weight": weight}
    observed = [demographic_parity_difference(Y, p, **own) for p in (after, before)]
    assert row["estimate"] == pytest.approx(observed[0] - observed[1])
    assert row["low"] == pytest.approx(np.quantile(drawn, 0.025), abs=0.02)
    assert row["high"] == pytest.approx(np.quantile(drawn, 0.975), abs=0.02)
    same = study(before, before).changes
    assert (same[["estimate", "low", "high"]].to_numpy() == 0).all()


class _Given:
    def __init__(self, predicted):
        self.predicted = predicted

    def predict(self, X):
        return self.predicted


# ---------------------------------------------------------------------- other shapes of the question
def test_many_groups_and_classes():
    rng = np.random.default_rng(0)
    town = np.array([f"town {i:03d}" for i in rng.permutation(np.repeat(np.arange(200), 20))])
    y = rng.integers(3, size=4000)
    pred = np.where(rng.random(4000) < 0.7, y, rng.integers(3, size=4000))
    audit = AuditReport.from_predictions(y, pred, sensitive_features=town, n_boot=20, random_state=0, min_count=2)
    page = Page(audit.html)
    assert "Shown are 20 of 200 groups" in page.text
    assert "The 20 largest of 200 groups." in page.text
    assert "ROC" not in page.text
    assert sum(row[0].startswith("town") for row in page.tables) == 3 * 200 + 20 * 3  # three tables; counts
    binary = AuditReport.from_predictions(y, pred, sensitive_features=town, n_boot=0, pos_label=2)
    assert "What a gap costs" in binary.html
    assert "selection_rate" in binary.report.by_group


def test_intersections_show_each_feature_alone():
    both = pd.DataFrame({"sex": SEX, "side": np.where(X[:, 2] > 1.5, "left", "right")})
    audit = audit_report(LOGISTIC, X, Y, sensitive_features=both, baseline=DummyClassifier().fit(X, Y), **QUICK)
    page = Page(audit.html)
    assert audit.report.by_group.index.names == ["sex", "side"]
    gap = demographic_parity_difference(Y, LOGISTIC.predict(X), sensitive_features=both["side"])
    assert f"side alone, model: demographic parity difference {gap:.3f}" in page.text
    assert "f \N{MIDDLE DOT} left" in page.text
    assert audit.baseline_report.overall["selection_rate"] in (0, 1)
    assert "The accuracy of the baseline is" in page.text
    assert "baseline, as it is" in page.text


def test_what_is_to_be_said_first():
    y, pred = np.r_[Y, 0, 0], np.r_[LOGISTIC.predict(X), 0, 1]
    audit = AuditReport.from_predictions(y, pred, sensitive_features=[*SEX, "x", "x"], **QUICK)
    said = " ".join(audit.notices)
    assert "1 of 3 groups has fewer than 10 rows" in said
    assert "TPR is undefined for group 'x'" in said
    assert "No scores were given." in said
    assert all(notice in Page(audit.html).text for notice in audit.notices)
    one = AuditReport.from_predictions([0, 0, 0], [0, 0, 1], sensitive_features=["a"] * 3, y_score=[0, 0, 1], **QUICK)
    said = " ".join(one.notices)
    assert "only one group, a" in said
    assert "All rows have the true label 0" in said
    assert "Some rows are predicted as 1, a true label of none." in said


def test_weights_count():
    weight = np.where(SEX == "f", 2.0, 1.0)
    twice = np.r_[np.arange(N), np.flatnonzero(SEX == "f")]
    score = LOGISTIC.predict_proba(X)[:, 1]

    def numbers(rows, weight):
        answers = [given_answer(Y[rows], LOGISTIC.predict(X)[rows], score[rows], "model")]
        study = make_study(Y[rows], answers, SEX[rows], weight, None, **{**OPTIONS, "n_boot": 0})
        return pd.DataFrame(dict(score_table(study, study.models[0]))), study.models[0].report.overall

    (weighted, of_weighted), (repeated, of_repeated) = numbers(np.arange(N), weight), numbers(twice, None)
    pd.testing.assert_frame_equal(weighted, repeated)  # AUC, mean score, base rate, Brier score
    pd.testing.assert_series_equal(of_weighted, of_repeated)


# ---------------------------------------------------------------------- files and errors
def test_it_is_written_whole_or_not_at_all(tmp_path, audit):
    path = tmp_path / "audit.html"
    made = audit_report(LOGISTIC, X, Y, sensitive_features=SEX, path=str(path), **QUICK)
    assert path.read_bytes() == made.html.encode()
    assert made.html == audit.html  # the same input and seed: the same bytes
    assert audit.save(path) is audit
    assert path.read_text(encoding="utf-8") == audit.html
    broken = AuditReport("a lone surrogate \ud800", audit.report)
    with pytest.raises(UnicodeEncodeError):
        broken.save(path)
    assert path.read_text(encoding="utf-8") == audit.html
    assert [file.name for file in tmp_path.iterdir()] == ["audit.html"]
    with pytest.raises(FileNotFoundError, match="no folder .*nowhere"):
        audit_report(None, X, Y, sensitive_features=SEX, path=tmp_path / "nowhere" / "audit.html")


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (dict(estimator=LogisticRegression()), NotFittedError, "not fitted"),
        (dict(estimator=Y), TypeError, "model must be a fitted classifier with predict"),
        (dict(estimator=LogisticRegression), TypeError, "with predict"),
        (dict(y=Y[:-1]), ValueError, "X has 400 rows, y has 399"),
        (dict(sensitive_features=None), ValueError, "sensitive_features is needed"),
        (dict(sensitive_features=SEX[:-1]), ValueError, "399 rows"),
        (
            dict(y=2 * Y - 1),
            ValueError,
            r"model.predict\(X\) holds the labels \[0\], which y lacks: it holds \[-1, 1\]",
        ),
        (dict(y=np.array(["no", "yes"])[Y]), ValueError, r"holds the labels \[0, 1\], which y lacks"),
        (dict(estimator=_Given(X[:, 0])), ValueError, "continuous values"),
        (dict(estimator=_Given(Y[:-1])), ValueError, r"model.predict\(X\) has 399 rows, y has 400"),
        (dict(baseline=Y[:-1]), ValueError, "baseline has 399 rows, y has 400"),
        (dict(pos_label=7), ValueError, "pos_label=7 is no label"),
        (dict(n_boot=-1), ValueError, "n_boot must be"),
        (dict(confidence_level=95), ValueError, "confidence_level must lie"),
        (dict(random_state="x"), ValueError, "random_state must be"),
    ],
)
def test_errors(change, error, words):
    arguments = {"estimator": LOGISTIC, "X": X, "y": Y, "sensitive_features": SEX, **QUICK, **change}
    with pytest.raises(error, match=words):
        audit_report(**arguments)


def test_errors_of_predictions():
    with pytest.raises(ValueError, match="baseline_score needs baseline"):
        AuditReport.from_predictions(Y, Y, sensitive_features=SEX, baseline_score=Y)
    with pytest.raises(ValueError, match="y_score has 399 rows"):
        AuditReport.from_predictions(Y, Y, sensitive_features=SEX, y_score=Y[:-1])
    with pytest.raises(ValueError, match="y_score has 400 values that are NaN"):
        AuditReport.from_predictions(Y, Y, sensitive_features=SEX, y_score=np.full(N, np.nan))
