"""What is added to the loss: a penalty on a fairness statistic of the predictions."""

from skfair.regularization._regularized import RegularizedClassifier

__all__ = ["RegularizedClassifier"]
