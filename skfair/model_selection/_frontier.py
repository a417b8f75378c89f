import numbers
import time
import warnings

import numpy as np
from joblib import effective_n_jobs
from sklearn.base import clone, is_classifier
from sklearn.model_selection import GridSearchCV, ParameterGrid, check_cv
from sklearn.utils import indexable
from sklearn.utils.parallel import Parallel, delayed

from skfair._random import draw_seed
from skfair._sensitive import warn_if_reordered
from skfair.base._search import check_method_params, insert_error_scores, report_failures
from skfair.model_selection import _jobs
from skfair.model_selection._folds import Data, final_step, make_fold
from skfair.model_selection._pareto import _non_dominated, frontier_frame
from skfair.model_selection._post_hoc import Splits
from skfair.model_selection._progress import Report
from skfair.model_selection._refit import ScoresOfRule

__all__ = ["FrontierSearchCV"]

MODELS = ("front", "all", "best")


class FrontierSearchCV(ScoresOfRule, GridSearchCV):
    """``GridSearchCV`` whose nets are trained side by side: a whole fairness-accuracy frontier in one fit.

    All candidates, splits and seeds whose nets have equal shapes are trained as one stacked network in one loop, each
    with its own rows, weights and early stopping. What comes out is what ``GridSearchCV`` finds, up to rounding (and up
    to the draws of dropout, which a stack makes for all its models at once), with the table of the frontier and its
    models besides.

    What cannot be stacked is fitted one by one, with the same results: other estimators, nets whose class does not stack,
    callbacks that may change the net or listen to each step, an optimizer that does not treat each number by itself. The
    steps of a :class:`sklearn.pipeline.Pipeline` before the net are fitted once per split and shared by all candidates
    that differ in the net alone.

    Parameters
    ----------
    estimator : estimator
        An estimator of skfair, or a Pipeline that ends in one. Any other works too.
    param_grid : dict or list of dicts
        As in ``GridSearchCV``. Candidates that differ in numbers which the method declares (``stacks_over``: strengths,
        step sizes) share a stack; those that differ in anything else (shapes, the batch size, a choice) form their own.
    scoring : str, callable, list, tuple or dict, default=None
        As in ``GridSearchCV``, with the names of fairness metrics besides; for a frontier at least two scores, such as
        ``{"accuracy": "accuracy", "gap": "demographic_parity_difference"}``.
    n_jobs : int, default=None
        Processes. Each takes a part of the stacks, or single fits. 1 is best on a GPU. Inside
        ``joblib.parallel_config("dask")`` the processes are those of a cluster.
    refit : bool, str or callable, default=True
        As in ``GridSearchCV``; :func:`best_within` is a rule.
    cv : int, splitter or iterable, default=None
    seeds : int or sequence of int, default=None
        Train each candidate on each split once per seed: ``range(seeds)``, or those given. They become the net's
        ``random_state``. None takes it as it is; if that is None, all nets share one that is drawn afresh.
    models : {"front", "all", "best"}, default="front"
        Which candidates to fit again on all rows, for ``models_``: those that no other beats in all mean scores, all, or
        only the best.
    stack_memory : float, default=2**31
        Bytes that a stack may take, besides the rows. A larger one is cut; one that the device cannot hold is halved.
    verbose : int, default=0
        1 shows a bar over all models, with the best point so far (by ``refit``); needs tqdm.
    pre_dispatch, error_score, return_train_score
        As in ``GridSearchCV``.

    Attributes
    ----------
    frontier_ : pandas.DataFrame
        A row per candidate: ``param_<name>``, and of each score ``mean_<score>``, ``sd_<score>`` and the bounds
        ``low_<score>``, ``high_<score>`` of a 95 % interval (Nadeau and Bengio's). Scores are as in ``cv_results_``:
        greater is better, gaps are negated.
    models_ : dict of {int: estimator}
        Estimators fitted on all rows, by the candidate's row in ``frontier_``. They are trained in a stack, but for the
        best, which is fitted by itself: ``models_[best_index_] is best_estimator_``.
    cv_results_ : dict
        As in ``GridSearchCV``. With seeds, the columns ``split0_...`` are the splits with the first seed, then those with
        the second. ``mean_fit_time`` is the time of a stack divided by its models, without the shared preprocessing.
    best_estimator_, best_params_, best_index_, best_score_, scorer_, multimetric_, refit_time_, classes_
        As in ``GridSearchCV``.
    n_splits_ : int
        Number of splits times number of seeds.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or all fits fail.

    Warns
    -----
    FitFailedWarning
        Where a candidate fails (its loss is not finite, say); it stops no other.
    UserWarning
        Where a stack fails as a whole, and its nets are trained one by one, or in smaller stacks if the memory runs out.

    See Also
    --------
    pareto_front : The candidates that no other beats.
    skfair.inspection.ParetoFrontDisplay : Their plot.

    Notes
    -----
    An interrupt (Ctrl-C) ends the training, not the search: what is trained is scored, what is not has ``error_score``,
    and only the best candidate is fitted again.

    Examples
    --------
    >>> from sklearn import config_context
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.metrics import get_scorer
    >>> from skfair.model_selection import FrontierSearchCV, best_within, pareto_front
    >>> from skfair.regularization import RegularizedClassifier
    >>> data = make_biased_classification(500, random_state=0)
    >>> search = FrontierSearchCV(
    ...     RegularizedClassifier(max_epochs=10, random_state=0),
    ...     {"strength": [0.0, 0.5, 1.0, 2.0]},
    ...     scoring={"accuracy": "accuracy", "gap": get_scorer("demographic_parity_difference")},
    ...     refit=best_within(gap=0.1),
    ...     cv=3,
    ... )
    >>> with config_context(enable_metadata_routing=True):
    ...     search = search.fit(data.data, data.target, sensitive_features=data.sensitive_features)
    >>> front = pareto_front(search, "gap", "accuracy")
    >>> set(front.index) == set(search.models_)
    True
    """

    _parameter_constraints = {
        **GridSearchCV._parameter_constraints,
        "scoring": [str, callable, list, tuple, dict, None],
        **dict.fromkeys(("seeds", "models", "stack_memory"), "no_validation"),
    }

    def __init__(
        self, estimator, param_grid, *, scoring=None, n_jobs=None, refit=True, cv=None, seeds=None, models="front",
        stack_memory=2**31, verbose=0, pre_dispatch="2*n_jobs", error_score=np.nan, return_train_score=False,
    ):  # fmt: skip
        super().__init__(
            estimator, param_grid, scoring=scoring, n_jobs=n_jobs, refit=refit, cv=cv, verbose=verbose,
            pre_dispatch=pre_dispatch, error_score=error_score, return_train_score=return_train_score,
        )  # fmt: skip
        self.seeds = seeds
        self.models = models
        self.stack_memory = stack_memory

    def fit(self, X, y=None, **params):
        """Search, and fit again what ``refit`` and ``models`` ask for.

        Parameters
        ----------
        X, y
            As the estimator takes them.
        **params
            ``sensitive_features``, ``sample_weight``, ``groups`` and the like, as in ``GridSearchCV``: with metadata
            routing on they go to all that ask for them, with routing off to the estimator's ``fit``.

        Returns
        -------
        self
        """
        self._validate_params()
        seeds = self._check_parameters()
        scorer, refit_metric = self._get_scorers()
        X, y = indexable(X, y)
        warn_if_reordered(params.get("sensitive_features"), X=X, y=y)  # within the folds nobody could tell
        params = check_method_params(X, params=params)
        routed = self._get_routed_params_for_fit(params)
        cv = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        splits = list(cv.split(X, y, **routed.splitter.split))
        self.n_splits_ = len(splits) * len(seeds)
        data = Data(X, y, routed.estimator.fit, routed.scorer.score)
        settings = _jobs.Settings(scorer, self.return_train_score, self.error_score, self.stack_memory)
        candidates = list(ParameterGrid(self.param_grid))
        out, interrupted = self._evaluate(candidates, splits, seeds, data, settings)
        self._collect(candidates, out, scorer, refit_metric)
        self.frontier_ = frontier_frame(self.cv_results_, n_test_over_train=Splits(splits, self.cv).test_over_train())
        self._refit_models(data, [] if interrupted else self._wanted())
        return self

    # ------------------------------------------------------------------ before any training
    def _check_parameters(self):
        """Check what GridSearchCV does not have; return the seeds."""
        if self.models not in MODELS:
            raise ValueError(f"models must be one of {list(MODELS)}, got {self.models!r}.")
        memory = self.stack_memory
        if not isinstance(memory, numbers.Real) or isinstance(memory, bool) or not memory > 0:
            raise ValueError(f"stack_memory must be a number of bytes > 0, got {memory!r}.")
        if getattr(self, "_skl_callbacks", None):
            warnings.warn("FrontierSearchCV does not call scikit-learn's callbacks.", UserWarning, stacklevel=3)
        if self.seeds is None:
            return [None]
        whole = isinstance(self.seeds, numbers.Integral) and not isinstance(self.seeds, bool)
        seeds = list(range(self.seeds)) if whole else np.ravel(self.seeds).tolist()
        good = seeds and all(isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0 for seed in seeds)
        if not (good and len(set(seeds)) == len(seeds)):
            raise ValueError(f"seeds must be None, an int >= 1 or distinct ints >= 0, got {self.seeds!r}.")
        if "random_state" not in final_step(self.estimator).get_params():
            raise ValueError(f"seeds={self.seeds!r} needs an estimator with a random_state, got {self.estimator!r}.")
        return seeds

    # ------------------------------------------------------------------ training and scoring
    def _evaluate(self, candidates, splits, seeds, data, settings):
        """What scikit-learn's searches note of each fit, candidate by candidate; whether it was interrupted."""
        tasks, models = _jobs.make_tasks(self.estimator, candidates, len(splits), seeds)
        if not tasks:
            raise ValueError("No fits were performed. Was the CV iterator empty? Were there no candidates?")
        _jobs.fix_seeds(tasks, draw_seed(None) % 2**31)
        keys = [(prep, k) for prep in models for k in range(len(splits))]
        parallel = Parallel(n_jobs=self.n_jobs, pre_dispatch=self.pre_dispatch)
        made = parallel(
            delayed(make_fold)(models[prep], data, *splits[k], keep_train=self.return_train_score) for prep, k in keys
        )
        out, score = {}, lambda task, fold, net: _jobs.scores_of(task, fold, net, settings)["test_scores"]
        report = Report(len(tasks), self.verbose, self._best_of, score)
        try:
            for task, one in self._run(tasks, dict(zip(keys, made)), settings, report):
                out[task.candidate, task.column] = one
                report.note(task, one["test_scores"])
            report.show()
        except KeyboardInterrupt:
            report.interrupted = True
        finally:
            report.close()
        every = [out.get((task.candidate, task.column)) or _jobs.lost(settings) for task in tasks]
        return every, report.interrupted

    def _run(self, tasks, folds, settings, report):
        """Pairs of a task and what came out of it, as they come."""
        n_jobs = effective_n_jobs(self.n_jobs)
        jobs = _jobs.split_jobs(tasks, n_jobs)
        if n_jobs == 1:
            for job in jobs:
                yield from zip(job, _jobs.run_job(job, folds, settings, report))
            return
        parallel = Parallel(n_jobs=self.n_jobs, pre_dispatch=self.pre_dispatch, return_as="generator")
        needed = [{task.fold: folds[task.fold] for task in job} for job in jobs]
        calls = (delayed(_jobs.run_job)(job, own, settings) for job, own in zip(jobs, needed))
        for job, outs in zip(jobs, parallel(calls)):
            report.done(job)
            yield from zip(job, outs)

    def _best_of(self, means):
        """Index of the best of some candidates, from their mean scores; for the progress bar."""
        if callable(self.refit):
            return self.refit(means)
        name = f"mean_test_{self.refit}"
        return int(np.nanargmax(means[name] if name in means else next(iter(means.values()))))

    # ------------------------------------------------------------------ what is learnt
    def _collect(self, candidates, out, scorer, refit_metric):
        """Set cv_results_ and the best candidate, as scikit-learn does."""
        report_failures(out, self.error_score)
        if callable(self.scoring):
            insert_error_scores(out, np.nan if self.error_score == "raise" else self.error_score)
        results = self._format_results(candidates, self.n_splits_, out)
        self.multimetric_ = isinstance(out[0]["test_scores"], dict)
        if callable(self.scoring) and self.multimetric_:
            self._check_refit_for_multimetric(out[0]["test_scores"])
            refit_metric = self.refit
        if self.refit or not self.multimetric_:
            self.best_index_ = self._select_best_index(self.refit, refit_metric, results)
            if not callable(self.refit):
                self.best_score_ = results[f"mean_test_{refit_metric}"][self.best_index_]
            self.best_params_ = results["params"][self.best_index_]
        self.scorer_ = getattr(scorer, "_scorers", scorer)
        self.cv_results_ = results

    def _wanted(self):
        """The candidates that ``models`` asks for."""
        if self.models == "best":
            return []
        scores = self.frontier_[[name for name in self.frontier_ if name.startswith("mean_")]].to_numpy()
        chosen = _non_dominated(scores) if self.models == "front" else ~np.isnan(scores).any(1)
        return np.flatnonzero(chosen).tolist()

    def _refit_models(self, data, wanted):
        """Fit the best candidate on all rows by itself, and the others that are wanted side by side."""
        self.models_, rest, before = {}, wanted, _jobs.trainings_ended()
        if self.refit:
            best = clone(self.estimator).set_params(**clone(self.best_params_, safe=False))
            start = time.time()
            best.fit(data.X, **data.fit_params) if data.y is None else best.fit(data.X, data.y, **data.fit_params)
            self.refit_time_ = time.time() - start
            self.best_estimator_ = self.models_[int(self.best_index_)] = best
            if hasattr(best, "feature_names_in_"):
                self.feature_names_in_ = best.feature_names_in_
            rest = [index for index in wanted if index != self.best_index_]
        params = [self.cv_results_["params"][index] for index in rest]
        try:
            if rest and _jobs.trainings_ended() > before:
                raise KeyboardInterrupt
            models = _jobs.train_on_all(self.estimator, params, data, self.stack_memory)
        except KeyboardInterrupt:
            warnings.warn("interrupted: models_ holds the best candidate alone.", UserWarning, stacklevel=3)
            models = []
        self.models_ = dict(sorted([*self.models_.items(), *((i, m) for i, m in zip(rest, models) if m is not None)]))
