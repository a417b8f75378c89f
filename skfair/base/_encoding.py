"""Labels and sensitive features as codes, and back."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.multiclass import check_classification_targets, unique_labels
from sklearn.utils.validation import _check_y, check_consistent_length

from skfair._sensitive import SensitiveEncoder
from skfair.base._checks import check_X
from skfair.base._loop import LoopNet
from skfair.base._readable import check_labels

__all__ = ["Encoded", "EncodingNet"]


class Encoded(NamedTuple):
    """What was given to fit, checked and as codes."""

    X: Any
    y: np.ndarray | None
    frame: Any  # the sensitive features
    groups: dict
    weight: np.ndarray | None


class EncodingNet(LoopNet):
    """A net that turns labels and sensitive features into codes, checked against those of the first call."""

    def _check_X_y(self, X, y, *, reset, classes=None):
        y = y if self.uses_labels else None
        X = check_X(self, X, reset=reset, y=y if self.uses_labels else "not read")
        if y is not None:
            check_labels(y)
            y = _check_y(y, estimator=self)
            check_consistent_length(X, y)
            y = self._encode_labels(y, reset=reset, classes=classes)
        return X, y

    def _encode_labels(self, y, *, reset, classes=None):
        check_classification_targets(y)
        if reset:
            classes = self.known_classes() if classes is None else classes
            self.classes_ = unique_labels(y if classes is None else classes)
            self.n_classes_ = len(self.classes_)
            if self.n_classes_ < self.min_classes:
                name, only = type(self).__name__, self.classes_.tolist()[0]
                raise ValueError(f"{name} needs at least two classes, but y holds one class only: {only!r}.")
        unseen = np.setdiff1d(y, self.classes_)
        if len(unseen):
            unseen, known = unseen.tolist(), self.classes_.tolist()
            raise ValueError(f"y has the labels {unseen}, which are not among the classes {known}.")
        return np.searchsorted(self.classes_, y)

    def known_classes(self):
        """The labels there are, where that is decided before ``fit`` (by a network that is given); None: those of y."""
        return None

    def decode_labels(self, codes):
        """The labels of class codes."""
        return None if codes is None else self.classes_[codes]

    def decode_groups(self, sensitive):
        """The sensitive features of codes (n, k), as a DataFrame; None if fit was given none."""
        return None if self.groups_ is None else self.sensitive_encoder_.inverse_transform(sensitive)

    def _encode_groups(self, frame, n_rows, *, reset):
        if frame is None and reset:
            self.groups_, self.n_groups_ = None, 1
        if frame is None or (not reset and self.groups_ is None):  # -1: there are groups, but these rows' are unknown
            code = 0 if self.groups_ is None else -1
            return {"sensitive": np.full((n_rows, 1), code), "group": np.full(n_rows, code)}
        if reset:
            self.sensitive_encoder_ = SensitiveEncoder(self.missing_groups).fit(frame)
            self.groups_ = self.sensitive_encoder_.groups_
            self.n_groups_ = len(self.groups_)
            if self.n_groups_ < self.min_groups:
                raise ValueError(
                    f"{type(self).__name__} needs at least {self.min_groups} groups, but sensitive_features has only "
                    f"one: {self.groups_[0]} ({n_rows} samples)."
                )
        sensitive, group = self.sensitive_encoder_.transform(frame)
        return {"sensitive": sensitive, "group": group}
