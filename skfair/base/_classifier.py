import numpy as np
import torch
from sklearn.base import ClassifierMixin

from skfair.base._net import BaseNet
from skfair.functional import weighted_mean

__all__ = ["BaseClassifier", "two_logits"]


def two_logits(output):
    """Logits of a network's output, whose single column is the logit of the second class.

    Parameters
    ----------
    output : Tensor of shape (n,), (n, 1), (n, K) or (n, m, K), or tuple that begins with one
        An ensemble in training answers with (n, m, K), which becomes (n m, K).

    Returns
    -------
    Tensor of shape (n, K) or (n m, K)
    """
    logits = output[0] if isinstance(output, tuple) else output
    if logits.ndim == 3:
        logits = logits.flatten(0, 1)
    if logits.ndim == 1 or logits.shape[1] == 1:
        logits = logits.reshape(-1, 1)
        return torch.cat([torch.zeros_like(logits), logits], 1)
    return logits


class BaseClassifier(ClassifierMixin, BaseNet):
    """Base of the classifiers. The objective is the weighted mean of ``losses``, unless the method writes another.

    Parameters
    ----------
    **kwargs
        Those of :class:`skfair.base.BaseNet`.
    """

    min_classes = 2

    def losses(self, logits, batch):
        """The loss of each row, a tensor of shape (n,)."""
        return self.criterion_(logits, batch.y)

    def objective(self, output, batch):
        return weighted_mean(self.losses(output, batch), batch.weight)

    def infer(self, x, **kwargs):
        return self.main_output(self.module_(x))

    def main_output(self, output):
        """Logits of shape (n, K). A single output is read as the logit of the second class."""
        return two_logits(super().main_output(output))

    def _encode_labels(self, y, *, reset, classes=None):
        codes = super()._encode_labels(y, reset=reset, classes=classes)
        self.positive_code(getattr(self, "pos_label", None))  # raises before anything is trained
        return codes

    onnx_outputs = ("label", "probabilities")

    def readout(self):
        return lambda logits: (logits.argmax(1), torch.softmax(logits, 1))

    @property
    def out_features_(self):
        return self.n_classes_

    def positive_code(self, pos_label=None):
        """The code of the positive label: the one given, or the last of ``classes_``."""
        if pos_label is None:
            return self.n_classes_ - 1
        if pos_label not in self.classes_:
            raise ValueError(f"pos_label={pos_label!r} is not among the classes {self.classes_.tolist()}.")
        return int(np.flatnonzero(self.classes_ == pos_label)[0])

    def predict_proba(self, X):
        """Probabilities of the classes, float64 of shape (n, K), in the order of ``classes_``."""
        return torch.softmax(self.outputs(X), 1).numpy()

    def decision_function(self, X):
        """Log odds of the second class (n,) for two classes, the logits (n, K) for more."""
        logits = self.outputs(X).numpy()
        return logits[:, 1] - logits[:, 0] if self.n_classes_ == 2 else logits

    def predict(self, X):
        """The label with the largest probability, of shape (n,). Sensitive features are never needed here."""
        return self.decode_labels(self.outputs(X).argmax(1).numpy())
