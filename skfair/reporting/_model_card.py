import inspect
import re
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

import skfair
from skfair.metrics import group_report

__all__ = ["model_card"]

TRAINING = "Model description/Training Procedure"
USES = "Model description/Intended uses & limitations"
RESULTS = "Model description/Evaluation Results"
MACHINE = {"checkpoint", "memory", "n_jobs", "verbose"}
RATES = {"base_rate": "base rate", "selection_rate": "selection rate"}


def model_card(
    estimator, X=None, y=None, *, sensitive_features=None, report=None, pos_label=None, random_state=0, controls=None,
    description="", intended_use="", limitations="", authors=(), license="", file="model.skfair", path=None,
):  # fmt: skip
    """Make the model card of a fitted classifier, with its numbers by group in it.

    It is a card of skops in its own template, to which sections can be added. What no one but you can say stays
    "[More Information Needed]" until you do.

    Parameters
    ----------
    estimator : classifier
        Fitted: a net, any classifier of scikit-learn, a Pipeline or a search.
    X : array-like or DataFrame of shape (n, ...), optional
        Rows that it was not fitted on, to report on.
    y : array-like of shape (n,), optional
        Their labels.
    sensitive_features : array-like, Series or DataFrame of shape (n,) or (n, k), optional
        Their groups.
    report : GroupReport, optional
        Of :func:`skfair.metrics.group_report`, in the place of ``X``, ``y`` and ``sensitive_features``.
    pos_label, random_state
        As in :func:`skfair.metrics.group_report`, for the report made of ``X``.
    controls : dict of str to DataFrame, optional
        Of :func:`skfair.model_selection.trivial_controls`.
    description, intended_use, limitations : str, default=""
        In markdown.
    authors : str or sequence of str, default=()
    license : str, default=""
    file : str, default="model.skfair"
        Name of the file that :func:`skfair.save` writes, for the lines that say how to load it.
    path : str or path-like, optional
        Write the card there, as markdown. A file of that name is replaced, at once or not at all.

    Returns
    -------
    skops.card.Card
        ``add``, ``add_table``, ``add_plot`` and ``save`` are skops' own.

    Raises
    ------
    ImportError
        Without skops.
    NotFittedError
    ValueError
        If both a report and rows are given, or rows without labels or groups; and as ``group_report``.

    Examples
    --------
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.preprocessing import make_tabular_pipeline
    >>> from skfair.reporting import model_card
    >>> from skfair.robust import ERMClassifier
    >>> data = make_biased_classification(400, random_state=0)
    >>> model = make_tabular_pipeline(ERMClassifier(max_epochs=5, random_state=0))
    >>> model = model.fit(data.data[:200], data.target[:200])
    >>> groups = data.sensitive_features[200:]
    >>> card = model_card(
    ...     model, data.data[200:], data.target[200:], sensitive_features=groups, authors="A. Author",
    ...     intended_use="An example; not for use.", license="BSD-3-Clause")
    >>> print(card.select("Model description/Intended uses & limitations").content)
    An example; not for use.
    <BLANKLINE>
    **Sensitive features** are not needed at predict.
    >>> card.save("README.md")  # doctest: +SKIP
    """
    check_is_fitted(estimator)
    report = _report(estimator, X, y, sensitive_features, report, pos_label, random_state)
    card = _empty_card(estimator)
    parts = list(_parts(estimator))
    card.add(**{
        "Model description": "\n\n".join(filter(None, [description, _summary(parts)])),
        USES: _uses(estimator, parts, intended_use, limitations),
        "How to Get Started with the Model": _start(estimator, file),
    })  # fmt: skip
    _add(card, TRAINING, _table("", _training(estimator, parts)))
    _add(card, f"{TRAINING}/Hyperparameters", _table("Hyperparameter", _parameters(estimator)), folded=True)
    if choice := _choice(parts):
        _add(card, f"{TRAINING}/How it was chosen", _table("", choice))
    if report is not None:
        card.add(**{RESULTS: f"{_overall(report)}\n\n{report.to_markdown()}"})
    if controls is not None:
        words = "What is to be beaten before a gain in fairness counts, on the splits of the search:"
        _add(card, f"{RESULTS}/Trivial controls", _controls(controls), description=words)
    if authors:
        names = [authors] if isinstance(authors, str) else authors
        card.add(**{"Model Card Authors": "\n".join(f"- {name}" for name in names)})
    if license:
        card.add(License=license)
    if path is not None:
        from skfair.base._files import write_bytes

        write_bytes(Path(path), card.render().encode())
    return card


def _empty_card(estimator):
    try:
        from skops.card import Card
    except ImportError as error:
        raise ImportError("model_card needs skops: pip install 'skfair[report]'.") from error
    card = Card(estimator, model_diagram=False)
    card.delete(f"{TRAINING}/Model Plot")
    return card


def _add(card, section, table, **options):
    card.add_table(**options, **{section: table})
    card.select(section).title = section.split("/")[-1]  # skops shows the whole path


def _report(estimator, X, y, sensitive_features, report, pos_label, random_state):
    given = [value is not None for value in (X, y, sensitive_features)]
    if report is not None and any(given):
        raise ValueError("report and X, y, sensitive_features say the same: give one of them.")
    if not any(given):
        return report
    if not all(given):
        raise ValueError("a report on rows needs all of X, y and sensitive_features.")
    options = dict(sensitive_features=sensitive_features, pos_label=pos_label, random_state=random_state)
    return group_report(y, estimator.predict(X), **options)


def _parts(estimator):
    """The estimator and those in it that predictions are made by, the last step of a Pipeline last."""
    yield estimator
    if hasattr(estimator, "history_"):  # a net
        return
    inside = [getattr(estimator, name, None) for name in ("best_estimator_", "estimator_", "estimator")]
    inside += [estimator.steps[-1][1]] if hasattr(estimator, "steps") else []
    for one in [one for one in inside if isinstance(one, BaseEstimator)][:1]:
        yield from _parts(one)


# ---------------------------------------------------------------------- what the sections say
def _summary(parts):
    names = [f"`{type(part).__name__}`" for part in parts]
    text = (inspect.getdoc(type(parts[-1])) or "").split("\n")[0]
    classes = [str(value) for value in getattr(parts[0], "classes_", ())]
    text = f"{' of '.join(names)}: {text}" if text else " of ".join(names)
    return text + (f"\n\nClasses: {', '.join(classes)}" if classes else "")


def _uses(estimator, parts, intended_use, limitations):
    words = [intended_use or "[More Information Needed]", f"**Limitations.** {limitations}" if limitations else ""]
    groups = getattr(parts[-1], "groups_", None)
    at_fit = "" if groups is None or len(groups) < 2 else f" were given at fit (groups: {_listed(groups)}); they"
    takes = "sensitive_features" in inspect.signature(estimator.predict).parameters
    columns = getattr(parts[-1], "sensitive_columns", None)
    inside = "" if columns is None else f" They stand in X ({_shown(columns)}) and are features of the model."
    words.append(f"**Sensitive features**{at_fit} are {'needed' if takes else 'not needed'} at predict.{inside}")
    return "\n\n".join(filter(None, words))


def _listed(groups):
    return ", ".join(" / ".join(str(value) for value in group) for group in groups)


def _training(estimator, parts):
    """{what: value} of how it was trained."""
    net = parts[-1] if hasattr(parts[-1], "history_") else None
    params = estimator.get_params()
    seeds = {name: value for name, value in params.items() if name.split("__")[-1] == "random_state"}
    facts = {"Features": getattr(parts[0], "n_features_in_", None)}
    if net is not None:
        size = sum(parameter.numel() for parameter in net.module_.parameters())
        facts |= {"Epochs": len(net.history_), "Weights of the network": f"{size:,}"}
    packages = ["scikit-learn", "numpy", *(["torch", "skorch"] if net is not None else [])]
    facts |= seeds
    facts["Versions"] = ", ".join([f"skfair {skfair.__version__}", *(f"{name} {version(name)}" for name in packages)])
    return {name: value for name, value in facts.items() if value is not None or name in seeds}


def _parameters(estimator):
    """Those of all steps, without the estimators, whose own are there, and what concerns one machine alone."""
    params = {name: value for name, value in sorted(estimator.get_params().items()) if not _holds(value)}
    return {name: value for name, value in params.items() if name.split("__")[-1] not in MACHINE}


def _holds(value):
    parts = value if isinstance(value, list | tuple) else ()
    return isinstance(value, BaseEstimator) or any(_holds(part) for part in parts)


def _choice(parts):
    """{what: value} of how a search or a threshold was chosen."""
    facts = {}
    for part in parts:
        if hasattr(part, "cv_results_"):
            facts |= {"Search": type(part).__name__, "Rule": part.refit, "Chosen": part.best_params_}
            means = [name for name in part.cv_results_ if name.startswith("mean_test_")]
            scores = {name.removeprefix("mean_test_"): part.cv_results_[name][part.best_index_] for name in means}
            facts |= {f"{name} (mean of the splits)": f"{score:.4f}" for name, score in scores.items()}
            facts["Candidates"] = len(part.cv_results_["params"])
        threshold = getattr(part, "best_threshold_", getattr(part, "threshold", None))
        if threshold is not None:
            facts["Threshold on the score of the positive class"] = threshold
    return facts


def _controls(controls):
    frames = []
    for name, frame in controls.items():
        keep = [column for column in frame if column.startswith(("param_", "mean_"))]
        frames.append(frame[keep].assign(control=name))
    table = pd.concat(frames, ignore_index=True)
    table = table[
        ["control", *(c for c in table if c.startswith("param_")), *(c for c in table if c.startswith("mean_"))]
    ]
    table.columns = [column.removeprefix("param_") for column in table]
    return table.map(lambda value: "" if pd.isna(value) else _shown(value))


def _overall(report):
    rates = [f"{RATES.get(name, name)} {value:.3f}" for name, value in report.overall.items()]
    return f"{int(report.by_group['n'].sum()):,} rows. All together: {', '.join(rates)}."


def _start(estimator, file):
    name = next((name for name in ("best_estimator_", "estimator_") if hasattr(estimator, name)), "")
    what = f"model.{name}" if hasattr(estimator, "cv_results_") else "model"
    code = f"import skfair\n\nmodel = skfair.load({file!r})\nmodel.predict(X)"
    return f"A file of `skfair.save({what}, {file!r})`, which holds no pickle:\n\n```python\n{code}\n```"


# ---------------------------------------------------------------------- tables
def _table(title, facts):
    return pd.DataFrame({title: list(facts), "Value": [_shown(value) for value in facts.values()]})


def _shown(value):
    """A value as text for a cell: nothing of where it lies in memory, no line breaks, no bars."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, dict):
        text = ", ".join(f"{key}={_shown(one)}" for key, one in value.items())
    elif isinstance(value, float):
        text = f"{value:.4g}"
    elif hasattr(value, "__qualname__"):
        text = f"{value.__module__}.{value.__qualname__}"
    else:
        text = value if isinstance(value, str) else re.sub(r" at 0x[0-9A-Fa-f]+", "", repr(value))
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(text.split()))
