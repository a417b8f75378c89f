"""Model cards."""

import re
import sys

import numpy as np
import pandas as pd
import pytest
from common import Net, rows, small
from fairlearn.postprocessing import ThresholdOptimizer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skfair
from skfair.metrics import get_scorer, group_report
from skfair.model_selection import FrontierSearchCV, ThresholdSearchCV, best_within, trivial_controls
from skfair.preprocessing import make_tabular_pipeline
from skfair.regularization import RegularizedClassifier
from skfair.reporting import model_card
from skfair.robust import ERMClassifier, GroupDROClassifier

TEMPLATE = [
    "Model description", "Intended uses & limitations", "Training Procedure", "Hyperparameters", "Evaluation Results",
    "How to Get Started with the Model", "Model Card Authors", "Model Card Contact", "Citation",
]  # fmt: skip
TRAINING, RESULTS = "Model description/Training Procedure", "Model description/Evaluation Results"


def facts(card, section):
    """A table of the card as a dict."""
    table = card.select(section).table
    return dict(zip(table.iloc[:, 0], table["Value"]))


def headings(card):
    text = re.sub(r"```.*?```", "", card.render(), flags=re.DOTALL)
    return re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)


def tables(text):
    """All markdown tables; each row has as many cells as its head."""
    found = re.findall(r"(?:^\|.*\|\n?)+", text, flags=re.MULTILINE)
    for table in found:
        widths = {len(re.split(r"(?<!\\)\|", line)) for line in table.strip().split("\n")}
        assert len(widths) == 1, table
    return found


def test_a_pipeline_and_its_report(tmp_path):
    X, y, s = rows()
    model = make_tabular_pipeline(small(GroupDROClassifier), numeric="quantile").fit(X, y, net__sensitive_features=s)
    card = model_card(
        model, X, y, sensitive_features=s, description="Who is granted **a loan**.", intended_use="Advice.",
        limitations="One bank.", authors=["A. One", "B. Two"], license="MIT", file="loan.skfair",
        path=tmp_path / "README.md",
    )  # fmt: skip
    text = (tmp_path / "README.md").read_text()
    assert text == card.render()
    assert [p.name for p in tmp_path.iterdir()] == ["README.md"]
    assert headings(card) == [*TEMPLATE, "License"]
    assert group_report(y, model.predict(X), sensitive_features=s, random_state=0).to_markdown() in text
    assert "All together: accuracy" in text
    assert "`Pipeline` of `GroupDROClassifier`: Group" in text
    assert "Advice.\n\n**Limitations.** One bank.\n\n**Sensitive features** were given at fit (groups: f, m)" in text
    assert "they are not needed at predict" in text
    assert "- A. One\n- B. Two" in text
    assert "skfair.load('loan.skfair')" in text
    trained = facts(card, TRAINING)
    assert trained["Epochs"] == "2"
    assert trained["net__random_state"] == "0"
    assert f"skfair {skfair.__version__}" in trained["Versions"]
    assert "torch" in trained["Versions"]
    given = facts(card, f"{TRAINING}/Hyperparameters")
    assert given["net__module"] == "skfair.modules._mlp.MLP"
    assert given["net__max_epochs"] == "2"
    assert not {"net", "preprocessor", "steps", "net__checkpoint"} & set(given)
    assert len(tables(text)) == 4
    assert " at 0x" not in text


def test_any_classifier():
    X, y, s = rows()
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.5)).fit(X, y)
    card = model_card(model, report=group_report(y, model.predict(X), sensitive_features=s, random_state=0))
    trained = facts(card, TRAINING)
    assert "Epochs" not in trained
    assert "torch" not in trained["Versions"]
    assert trained["Features"] == "4"
    assert facts(card, f"{TRAINING}/Hyperparameters")["logisticregression__C"] == "0.5"
    assert "**Sensitive features** are not needed at predict" in card.render()
    optimizer = ThresholdOptimizer(estimator=model, prefit=True, predict_method="predict_proba")
    optimizer.fit(X, y, sensitive_features=s)
    assert "**Sensitive features** are needed at predict" in model_card(optimizer).render()


def test_what_only_a_person_can_say_is_left_open():
    X, y, _ = rows()
    card = model_card(small(ERMClassifier, module=Net).fit(X, y))
    assert headings(card) == TEMPLATE
    for section in ("Model Card Authors", RESULTS):
        assert "[More Information Needed]" in card.select(section).content
    assert card.select("Model description/Intended uses & limitations").content.startswith("[More Information Needed]")
    card.add(**{"Model description/Ethics": "Ours."})  # it is skops' own card
    assert "## Ethics\n\nOurs." in card.render()


def test_labels_that_are_words_need_the_positive_one():
    X, y, s = rows()
    y = np.array(["no", "yes"])[y]
    model = LogisticRegression().fit(X, y)
    with pytest.raises(ValueError, match="pos_label"):
        model_card(model, X, y, sensitive_features=s)
    text = model_card(model, X, y, sensitive_features=pd.DataFrame({"a|b": s, "c": s}), pos_label="yes").render()
    assert "Classes: no, yes" in text
    assert "selection_rate" in text
    tables(text)


# ---------------------------------------------------------------------- how it was chosen
def _search():
    X, y, s = rows()
    X = np.column_stack([X, s == "f"])
    gap = get_scorer("demographic_parity_difference", sensitive_columns=4)
    scoring = {"accuracy": "accuracy", "gap": gap}
    return X, y, s, scoring


def test_a_frontier_and_its_controls():
    X, y, s, scoring = _search()
    net = small(RegularizedClassifier, sensitive_columns=4, max_epochs=3)
    search = FrontierSearchCV(net, {"strength": [0.0, 0.5]}, scoring=scoring, refit=best_within(gap=0.9), cv=2).fit(
        X, y
    )
    controls = trivial_controls(small(ERMClassifier), X, y, scoring=scoring, cv=2, thresholds=(0.8,))
    card = model_card(search, X, y, sensitive_features=s, controls=controls)
    chosen = facts(card, f"{TRAINING}/How it was chosen")
    assert chosen["Search"] == "FrontierSearchCV"
    assert chosen["Rule"] == "best_within(objective='accuracy', gap=0.9)"
    assert chosen["Chosen"] == f"strength={search.best_params_['strength']:.4g}"
    assert chosen["gap (mean of the splits)"] == f"{search.cv_results_['mean_test_gap'][search.best_index_]:.4f}"
    table = card.select(f"{RESULTS}/Trivial controls").table
    assert table["control"].tolist() == ["unmitigated", "raised threshold", "constant", "constant"]
    assert table["mean_gap"].tolist()[2:] == ["0", "0"]
    assert "`FrontierSearchCV` of `RegularizedClassifier`" in card.render()
    assert "skfair.save(model.best_estimator_" in card.render()
    assert facts(card, TRAINING)["Epochs"] == "3"
    assert "not needed at predict. They stand in X (4) and are features of the model." in card.render()
    tables(card.render())


def test_thresholds():
    X, y, s, scoring = _search()
    search = ThresholdSearchCV(small(ERMClassifier), scoring=scoring, refit=best_within(gap=0.9), cv=2).fit(X, y)
    words = "Threshold on the score of the positive class"
    assert facts(model_card(search), f"{TRAINING}/How it was chosen")[words] == f"{search.best_threshold_:.4g}"
    fixed = FixedThresholdClassifier(LogisticRegression(), threshold=0.3).fit(X, y)
    assert facts(model_card(fixed), f"{TRAINING}/How it was chosen") == {words: "0.3"}
    grid = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2).fit(X, y)
    chosen = facts(model_card(grid), f"{TRAINING}/How it was chosen")
    assert chosen["Candidates"] == "2"
    assert chosen["score (mean of the splits)"] == f"{grid.best_score_:.4f}"


# ---------------------------------------------------------------------- what is refused
def test_bad_input(monkeypatch):
    X, y, s = rows()
    model = LogisticRegression().fit(X, y)
    report = group_report(y, 1 - y[::-1], sensitive_features=s, n_boot=0)
    with pytest.raises(ValueError, match="say the same"):
        model_card(model, X, y, sensitive_features=s, report=report)
    with pytest.raises(ValueError, match="needs all of X, y and sensitive_features"):
        model_card(model, X, y)
    with pytest.raises(NotFittedError):
        model_card(LogisticRegression())
    monkeypatch.setitem(sys.modules, "skops.card", None)
    with pytest.raises(ImportError, match=r"skfair\[report\]"):
        model_card(model)


def test_a_failing_write_leaves_the_old_file(tmp_path, monkeypatch):
    X, y, _ = rows()
    path = tmp_path / "README.md"
    path.write_text("old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        model_card(LogisticRegression().fit(X, y), path=path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
