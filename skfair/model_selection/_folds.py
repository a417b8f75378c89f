"""One split of the data: preprocessed once, for all candidates that vary the last step alone."""

import contextlib
import copy
import functools
import time
import traceback
from dataclasses import dataclass, field
from typing import Any

from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import process_routing

from skfair._routing import routing_enabled
from skfair.base._search import check_method_params, safe_split

__all__ = ["Data", "Fold", "final_step", "is_chain", "make_fold"]

RESPONSES = ("predict", "predict_proba", "predict_log_proba", "decision_function", "transform")


def is_chain(model):
    """Whether the model is a pipeline whose steps can be fitted one after the other."""
    return type(model) is Pipeline and model.transform_input is None


def final_step(model):
    """The estimator whose fit is the costly one: the last step of a pipeline, or the model itself."""
    return model.steps[-1][1] if is_chain(model) else model


@dataclass
class Fold:
    """The rows of a split as the last step gets them, and what is needed to score a whole model on them."""

    steps: list = field(default_factory=list)  # the fitted steps before the last
    train: tuple = ()  # (X, y) for the last step
    fit_params: dict = field(default_factory=dict)  # of the last step
    raw: dict = field(default_factory=dict)  # "test", "train" -> (X, y, parameters of the scorer), as given
    transformed: dict = field(default_factory=dict)  # "test", "train" -> X for the last step
    seconds: float = 0.0
    exception: Exception | None = None
    trace: str | None = None

    def assemble(self, model, final):
        """A model like this one, of the fitted steps and this last one."""
        if not is_chain(model):
            return final
        whole = copy.copy(model)
        whole.steps = [*self.steps, (model.steps[-1][0], final)]
        return whole

    @contextlib.contextmanager
    def remembered(self, model, final):
        """The assembled model; it transforms and predicts the rows of the split only once."""
        whole, answers = self.assemble(model, final), {}
        known = {id(part[0]): name for name, part in self.raw.items()}
        names = [name for name in RESPONSES if hasattr(final, name)]
        methods = {name: (getattr(whole, name), getattr(final, name)) for name in names}

        def responder(name):
            @functools.wraps(methods[name][0])
            def respond(X, *args, **kwargs):
                part = known.get(id(X))
                if part is None or args or kwargs:
                    return methods[name][0](X, *args, **kwargs)
                if (name, part) not in answers:
                    answers[name, part] = methods[name][1](self.transformed[part])
                return copy.copy(answers[name, part])

            return respond

        vars(whole).update({name: responder(name) for name in names})
        try:
            yield whole
        finally:
            for name in names:
                del vars(whole)[name]


@dataclass
class Data:
    """All that is given to a search: the rows, and what is routed to whom."""

    X: Any
    y: Any
    fit_params: dict
    score_params: dict

    def rows(self, estimator, index, other=None):
        """(X, y, parameters of fit, parameters of the scorer) of some rows."""
        X, y = safe_split(estimator, self.X, self.y, index, other)
        params = [
            check_method_params(self.X, params=given, indices=index) for given in (self.fit_params, self.score_params)
        ]
        return X, y, *params


def make_fold(model, data, train, test, keep_train=False):
    """Fit the steps of the model before the last on the training rows. An error is noted in the Fold, not raised."""
    fold, start = Fold(), time.time()
    try:
        X, y, fit_params, score_params = data.rows(model, train)
        fold.raw = {"train": (X, y, score_params)} if keep_train else {}
        if test is not None:
            X_test, y_test, _, score_params = data.rows(model, test, train)
            fold.raw["test"] = (X_test, y_test, score_params)
        fold.transformed = {name: part[0] for name, part in fold.raw.items()}
        params = _route(model, fit_params)
        if is_chain(model):
            X = _preprocess(fold, model, X, y, params)
            fold.fit_params = params[model.steps[-1][0]]["fit"]
        else:
            fold.fit_params = fit_params
        fold.train = (X, y)
    except Exception as error:
        fold.exception, fold.trace = error, traceback.format_exc()
    fold.seconds = time.time() - start
    return fold


def _preprocess(fold, model, X, y, params):
    for name, step in model.steps[:-1]:
        if step is None or step == "passthrough":
            fold.steps.append((name, step))
            continue
        step, given = clone(step), params[name]
        if hasattr(step, "fit_transform"):
            X = step.fit_transform(X, y, **given["fit_transform"])
        else:
            X = step.fit(X, y, **given["fit"]).transform(X)
        fold.transformed = {part: step.transform(rows) for part, rows in fold.transformed.items()}
        fold.steps.append((name, step))
    return X


def _route(model, fit_params):
    """Parameters of fit of each step, {name: {"fit": ..., "fit_transform": ...}}."""
    if not is_chain(model):
        return {}
    if routing_enabled():
        return process_routing(model, "fit", **fit_params)
    routed = {name: {"fit": {}, "fit_transform": {}} for name, _ in model.steps}
    for key, value in fit_params.items():
        name, _, parameter = key.partition("__")
        if name not in routed or not parameter:
            raise ValueError(
                f"fit got {key!r}, but the model is a Pipeline: write <step>__{key}=..., with a step of {list(routed)}, "
                "or switch routing on with sklearn.set_config(enable_metadata_routing=True)."
            )
        for method in routed[name].values():
            method[parameter] = value
    return routed
