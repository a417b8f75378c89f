from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin

from skfair.base._net import BaseNet

__all__ = ["BaseTransformer"]


class BaseTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseNet):
    """Base of the transformers: ``transform`` returns the network's output as float64 of shape (n, D).

    Parameters
    ----------
    **kwargs
        Those of :class:`skfair.base.BaseNet`.
    """

    def transform(self, X):
        """The codes of X, of shape (n, D)."""
        return self.outputs(X).numpy()

    @property
    def predict(self):
        raise AttributeError(f"{type(self).__name__} is a transformer: it has transform, but no predict.")

    predict_proba = predict

    @property
    def _n_features_out(self):
        return self.out_features_
