"""What a classifier of any library is, and what it says of rows."""

import importlib.metadata
import inspect
import re
import sys
from typing import NamedTuple

import numpy as np

from skfair.metrics._inputs import as_labels, as_scores

__all__ = ["Answer", "Scores", "answer_of", "given_answer"]

LONGEST = 600  # characters of a parameter


class Scores(NamedTuple):
    """Scores of the positive label, if there are any, and whether they are probabilities; if not, why not."""

    values: np.ndarray | None = None
    probability: bool = False
    notice: str | None = None


class Answer(NamedTuple):
    """Predictions of one classifier, what it is, and a function that gives the scores of a label."""

    name: str
    predicted: np.ndarray
    about: dict
    parameters: dict
    scores: object


def answer_of(estimator, X, y, name):
    """Ask a fitted classifier; nothing of it is trained."""
    if isinstance(estimator, type) or not callable(getattr(estimator, "predict", None)):
        raise TypeError(
            f"{name} must be a fitted classifier with predict, got {_short(repr(estimator))}. "
            "AuditReport.from_predictions takes predictions."
        )
    predicted = as_labels(estimator.predict(X), f"{name}.predict(X)")
    known = _classes(estimator)
    check_labels(y, predicted, f"{name}.predict(X)", known)

    def scores(positive, labels):
        return _scores(estimator, X, positive, labels if known is None else known)

    return Answer(name, predicted, describe(estimator), _parameters(estimator), scores)


def given_answer(y, predicted, score, name):
    """Predictions that were made elsewhere, with the scores of the positive label if there are any."""
    predicted = as_labels(predicted, name)
    check_labels(y, predicted, name)
    score = None if score is None else as_scores(score, len(y))

    def scores(positive, labels):
        probability = score is not None and score.min() >= 0 and score.max() <= 1
        return Scores(score, probability, "No scores were given." if score is None else None)

    return Answer(name, predicted, {"Classifier": "unknown; its predictions were given"}, {}, scores)


def check_labels(y, predicted, name, known=None):
    """Raise where the predictions speak of other labels than y, as 0 and 1 do of -1 and 1."""
    if len(predicted) != len(y):
        raise ValueError(f"{name} has {len(predicted)} rows, y has {len(y)}: they must be equal.")
    labels, found = set(y.tolist()), set(predicted.tolist())
    if found <= labels or len(labels) == 1 or (known is not None and labels <= set(known)):
        return
    if len(labels) == 2 or not found & labels:
        listed = [sorted(values, key=str)[:10] for values in (found - labels, labels)]
        raise ValueError(f"{name} holds the labels {listed[0]!r}, which y lacks: it holds {listed[1]!r}.")


def _classes(estimator):
    classes = getattr(estimator, "classes_", None)
    return None if classes is None or np.ndim(classes) != 1 else np.asarray(classes).tolist()


def _scores(estimator, X, positive, classes):
    """predict_proba, else decision_function, of one label."""
    for method in ("predict_proba", "decision_function"):
        respond = getattr(estimator, method, None)
        if respond is None:
            continue
        if positive not in classes:
            return Scores(notice=f"No scores: the classifier does not know the label {positive!r}.")
        values, place = np.asarray(respond(X), dtype=np.float64), classes.index(positive)
        if values.ndim == 2 and values.shape[1] == len(classes) > 1:
            values = values[:, place]
        elif values.size == len(values) and len(classes) == 2:  # of the second class
            values = values.reshape(-1)
            values = values if place == 1 else (1 - values if method == "predict_proba" else -values)
        else:
            why = f"{method} gives the shape {values.shape} for the labels {classes!r}"
            return Scores(notice=f"No scores: {why}, so that the column of {positive!r} is not known.")
        values = as_scores(values, len(values), method)
        return Scores(values, method == "predict_proba" and values.min() >= 0 and values.max() <= 1)
    return Scores(notice="No scores: the classifier has neither predict_proba nor decision_function.")


# ---------------------------------------------------------------------- what it is
def describe(estimator):
    """{term: text}: the class and its library's version."""
    cls = type(estimator)
    library = cls.__module__.split(".")[0]
    version = _version(library)
    about = {"Classifier": cls.__qualname__, "Defined in": cls.__module__}
    if version is not None:
        about["Library"] = f"{library} {version}"
    return about


def _version(library):
    found = getattr(sys.modules.get(library), "__version__", None)
    if found is None and library != "__main__":
        try:
            found = importlib.metadata.version(library)
        except (importlib.metadata.PackageNotFoundError, ValueError):
            return None
    return None if found is None else str(found)


def _parameters(estimator):
    """Those of scikit-learn's kind, as text; those at their defaults are left out."""
    if not callable(getattr(estimator, "get_params", None)):
        return {}
    try:
        defaults = {name: p.default for name, p in inspect.signature(type(estimator)).parameters.items()}
    except (TypeError, ValueError):
        defaults = {}
    params = dict(sorted(estimator.get_params(deep=False).items()))
    texts = {str(name): _short(repr(value)) for name, value in params.items()}
    return {name: text for name, text in texts.items() if name not in defaults or text != _short(repr(defaults[name]))}


def _short(text):
    """On one line, without addresses in memory (the same model gives the same text), the middle of it left out."""
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", " ".join(text.split()))
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]} ... {text[-half:]}"
