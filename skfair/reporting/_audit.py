"""The audit of a classifier as one HTML file."""

import html
from pathlib import Path

import skfair
from skfair.metrics._inputs import as_labels
from skfair.reporting._asked import answer_of, given_answer
from skfair.reporting._page import page
from skfair.reporting._sections import sections_of
from skfair.reporting._study import make_study

__all__ = ["AuditReport", "audit_report"]


class AuditReport:
    """An audit of a classifier by group, as one HTML file with tables and plots.

    It is best made with :func:`audit_report`, or with :meth:`from_estimator` or :meth:`from_predictions`. The page needs
    nothing but itself: no script, no font and no picture from elsewhere, so that it can be sent and kept. In a notebook it
    is shown as it is.

    Parameters
    ----------
    html : str
    report : GroupReport
    baseline_report : GroupReport, default=None
    notices : sequence of str, default=()

    Attributes
    ----------
    html : str
        The page.
    report : GroupReport
        The numbers of :func:`skfair.metrics.group_report`, with the same ``random_state`` the same.
    baseline_report : GroupReport or None
    notices : list of str
        What the page says before its numbers: small groups, undefined rates, why there are no scores.

    See Also
    --------
    skfair.metrics.group_report : The tables alone.
    skfair.inspection.GroupScoreDisplay : The rates as one plot.

    Examples
    --------
    >>> from skfair.reporting import AuditReport
    >>> y_true, y_pred, sex = [1, 0, 1, 0] * 10, [1, 0, 1, 1] * 10, ["f", "f", "m", "m"] * 10
    >>> audit = AuditReport.from_predictions(y_true, y_pred, sensitive_features=sex, n_boot=100, random_state=0)
    >>> audit.html[:15]
    '<!DOCTYPE html>'
    >>> audit.report.by_group["selection_rate"].to_dict()
    {'f': 0.5, 'm': 1.0}
    """

    def __init__(self, html, report, baseline_report=None, notices=()):
        self.html = html
        self.report = report
        self.baseline_report = baseline_report
        self.notices = list(notices)

    @classmethod
    def from_estimator(
        cls, estimator, X, y, *, sensitive_features, baseline=None, sample_weight=None, pos_label=None, title=None,
        description=None, n_boot=1000, confidence_level=0.95, min_count=10, random_state=None,
    ):  # fmt: skip
        """Audit a fitted classifier of any library.

        Parameters
        ----------
        estimator : fitted classifier
            With ``predict``; its ``predict_proba`` or ``decision_function`` are used where it has them.
        X : array-like, DataFrame or whatever ``predict`` takes
        y : array-like of shape (n_samples,)
            True class labels.
        sensitive_features : list, array, Series or DataFrame (pandas, polars), n_samples rows
            As in :func:`skfair.metrics.group_report`.
        baseline : fitted classifier or array-like of shape (n_samples,), default=None
            What to compare with, such as the model before mitigation, or its predictions.
        sample_weight : array-like of shape (n_samples,), default=None
        pos_label : label, default=None
            As in :func:`skfair.metrics.group_report`.
        title, description : str, default=None
            Text of yours, for the head of the page. An empty line in the description begins a paragraph.
        n_boot, confidence_level, min_count, random_state
            As in :func:`skfair.metrics.group_report`.

        Returns
        -------
        AuditReport

        Raises
        ------
        TypeError
            If the estimator has no ``predict``.
        ValueError
            For what :func:`skfair.metrics.group_report` refuses, and predictions of labels that y does not hold.
        """
        y = as_labels(y, "y")
        _check_rows(X, y)
        answers = [answer_of(estimator, X, y, "model")]
        if baseline is not None:
            asked = hasattr(baseline, "predict")
            answers.append(
                answer_of(baseline, X, y, "baseline") if asked else given_answer(y, baseline, None, "baseline")
            )
        shape = getattr(X, "shape", ())
        return cls._made(
            y, answers, title or f"Audit of {type(estimator).__name__}", description, shape[1] if len(shape) == 2 else None,
            sensitive_features, sample_weight, pos_label, n_boot=n_boot, confidence_level=confidence_level,
            min_count=min_count, random_state=random_state,
        )  # fmt: skip

    @classmethod
    def from_predictions(
        cls, y_true, y_pred, *, sensitive_features, y_score=None, baseline=None, baseline_score=None, sample_weight=None,
        pos_label=None, title=None, description=None, n_boot=1000, confidence_level=0.95, min_count=10, random_state=None,
    ):  # fmt: skip
        """Audit predictions that were made elsewhere.

        Parameters
        ----------
        y_true, y_pred : array-like of shape (n_samples,)
            Class labels, true and predicted.
        sensitive_features : list, array, Series or DataFrame (pandas, polars), n_samples rows
            As in :func:`skfair.metrics.group_report`.
        y_score : array-like of shape (n_samples,), default=None
            Scores of the positive label. They count as probabilities where all lie in [0, 1].
        baseline, baseline_score : array-like of shape (n_samples,), default=None
            Predictions, and scores, to compare with.
        sample_weight, pos_label, title, description, n_boot, confidence_level, min_count, random_state
            As in :meth:`from_estimator`.

        Returns
        -------
        AuditReport

        Raises
        ------
        ValueError
            As in :meth:`from_estimator`, and for ``baseline_score`` without ``baseline``.
        """
        y = as_labels(y_true, "y_true")
        answers = [given_answer(y, y_pred, y_score, "model")]
        if baseline is not None:
            answers.append(given_answer(y, baseline, baseline_score, "baseline"))
        elif baseline_score is not None:
            raise ValueError("baseline_score needs baseline, the predictions that belong to it; got None.")
        return cls._made(
            y, answers, title or "Audit of predictions", description, None, sensitive_features, sample_weight, pos_label,
            n_boot=n_boot, confidence_level=confidence_level, min_count=min_count, random_state=random_state,
        )  # fmt: skip

    @classmethod
    def _made(cls, y, answers, title, description, n_columns, sensitive_features, sample_weight, pos_label, **options):
        study = make_study(y, answers, sensitive_features, sample_weight, pos_label, **options)
        lead = [part for part in (description or "").split("\n\n") if part.strip()]
        footer = f"Made by skfair {skfair.__version__}, skfair.reporting.audit_report."
        text = page(title, lead, sections_of(study, n_columns), footer)
        return cls(text, *(model.report for model in study.models), notices=study.notices)

    def save(self, path):
        """Write the page, whole or not at all.

        Parameters
        ----------
        path : str or path-like

        Returns
        -------
        AuditReport
            Itself.
        """
        from skfair.base._files import write_bytes

        write_bytes(Path(path), self.html.encode())
        return self

    def _repr_html_(self):
        # a document of its own: its style does not reach the notebook's
        return (
            f'<iframe srcdoc="{html.escape(self.html)}" sandbox style="width:100%;height:48rem;border:1px solid #8886" '
            'title="Audit report"></iframe>'
        )

    def __repr__(self):
        n = self.report.by_group["n"]
        return f"<AuditReport: {n.sum():,} rows, {len(n)} groups, {len(self.html) / 1024:.0f} kB of HTML>"


def audit_report(
    estimator, X, y, *, sensitive_features, path=None, baseline=None, sample_weight=None, pos_label=None, title=None,
    description=None, n_boot=1000, confidence_level=0.95, min_count=10, random_state=None,
):  # fmt: skip
    """Audit of a fitted classifier of any library, as one HTML file with tables and plots.

    The page holds the rates of each group and the gaps between groups with intervals, the outcomes, reliability and ROC
    curves of each group's scores, what other thresholds on the same scores and constants would give, and what to know when
    reading it. It gives no verdict. Nothing is trained. The same input and seed give the same file, byte for byte.

    Parameters
    ----------
    estimator : fitted classifier
        With ``predict``; its ``predict_proba`` or ``decision_function`` are used where it has them. For predictions
        without their classifier there is :meth:`AuditReport.from_predictions`.
    X : array-like, DataFrame or whatever ``predict`` takes
        Rows that neither trained nor chose the classifier.
    y : array-like of shape (n_samples,)
        True class labels.
    sensitive_features : list, array, Series or DataFrame (pandas, polars), n_samples rows
        Any number of columns of any type; several columns make intersections. A missing value (None, NaN) is a group of
        its own, labelled "missing".
    path : str or path-like, default=None
        Where to write the page; it can also be saved later.
    baseline : fitted classifier or array-like of shape (n_samples,), default=None
        What to compare with, such as the model before mitigation, or its predictions.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights.
    pos_label : label, default=None
        The positive label. None means 1 where the labels lie in {0, 1} or {-1, 1}, each label in turn against the rest
        where there are more than two, and is an error otherwise.
    title, description : str, default=None
        Text of yours, for the head of the page. An empty line in the description begins a paragraph.
    n_boot : int, default=1000
        Number of resamples; 0 for no intervals.
    confidence_level : float, default=0.95
    min_count : int, default=10
        A group with fewer rows than this with one of the true labels is marked as small.
    random_state : int, numpy Generator, RandomState or None, default=None
        Of the resamples.

    Returns
    -------
    AuditReport
        With ``html``, ``report`` and ``save(path)``; shown as it is in a notebook.

    Raises
    ------
    TypeError
        If the estimator has no ``predict``.
    ValueError
        For what :func:`skfair.metrics.group_report` refuses, and predictions of labels that y does not hold.
    FileNotFoundError
        If there is no folder to write to, before anything is computed.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.reporting import audit_report
    >>> made = make_biased_classification(500, random_state=0)
    >>> model = LogisticRegression().fit(made.data, made.target)
    >>> audit = audit_report(
    ...     model, made.data, made.target, sensitive_features=made.sensitive_features, n_boot=100, random_state=0
    ... )
    >>> len(audit.report.by_group)
    2
    """
    if path is not None and not Path(path).absolute().parent.is_dir():
        raise FileNotFoundError(f"path={str(path)!r}: there is no folder {str(Path(path).absolute().parent)!r}.")
    audit = AuditReport.from_estimator(
        estimator, X, y, sensitive_features=sensitive_features, baseline=baseline, sample_weight=sample_weight,
        pos_label=pos_label, title=title, description=description, n_boot=n_boot, confidence_level=confidence_level,
        min_count=min_count, random_state=random_state,
    )  # fmt: skip
    return audit if path is None else audit.save(path)


def _check_rows(X, y):
    n = X.shape[0] if hasattr(X, "shape") else len(X) if hasattr(X, "__len__") else len(y)
    if n != len(y):
        raise ValueError(f"X has {n} rows, y has {len(y)}: they must be equal.")
