"""What is put into x: triggers that make a frozen model fair from outside."""

from skfair.reprogramming._reprogrammed import ReprogrammedClassifier

__all__ = ["ReprogrammedClassifier"]
