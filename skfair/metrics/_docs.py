"""Paragraphs that the docstrings of the metrics share."""

__all__ = ["documented"]

_PARTS = {
    "y_true": """y_true : array-like of shape (n_samples,)
        True class labels: numbers, strings or booleans.""",
    "y_pred": """y_pred : array-like of shape (n_samples,)
        Predicted class labels.""",
    "y_score": """y_score : array-like of shape (n_samples,)
        Score of the positive class, finite.""",
    "sensitive_features": """sensitive_features : list, array, Series or DataFrame (pandas, polars), n_samples rows
        Any number of columns of any type; several columns make intersections. A missing value (None, NaN) is a group
        of its own, labelled "missing".""",
    "sample_weight": """sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights. Integer weights equal repeated rows.""",
    "method": """method : {"between_groups", "to_overall"}, default="between_groups"
        Compare two groups, or a group with all rows together, as in fairlearn.""",
    "pos_label": """pos_label : label, default=None
        The positive label. None means 1 where the labels lie in {0, 1} or {-1, 1}, each label in turn against the rest
        where there are more than two, and is an error otherwise.""",
    "multiclass": """multiclass : {"max", "mean"}, default="max"
        How the one-versus-rest values of more than two classes are joined: the worst class, or their mean.""",
    "returns": """float
        Without unit, a share between 0 and 1. NaN, with an :class:`UndefinedGapWarning`, where it is not defined.""",
    "raises": """ValueError
        For inputs of different lengths, empty inputs, missing or continuous labels, weights that are negative or all
        zero, and labels among which none can be taken as positive.""",
}


def documented(function):
    """Replace each ``<<name>>`` in a docstring by the shared paragraph of that name."""
    for name, text in _PARTS.items():
        function.__doc__ = function.__doc__.replace(f"<<{name}>>", text)
    return function
