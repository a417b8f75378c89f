"""The fits of a search: which can be trained in one stack, and what comes out of each."""

import functools
import time
import traceback
import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import joblib
import numpy as np
import torch
from sklearn.base import clone

from skfair.base import BaseNet
from skfair.base._interrupts import trainings_ended
from skfair.base._members import Shared, make_members, unstackable
from skfair.base._search import num_samples, score_model
from skfair.base._stack import stacks_of, train_stack
from skfair.model_selection._folds import final_step, is_chain, make_fold
from skfair.model_selection._parts import trained_parts

__all__ = [
    "Settings",
    "Task",
    "fix_seeds",
    "lost",
    "make_tasks",
    "run_job",
    "scores_of",
    "split_jobs",
    "train",
    "train_on_all",
]


class Settings(NamedTuple):
    """What all jobs share."""

    scorer: Any
    return_train_score: bool
    error_score: Any
    stack_memory: float


@dataclass
class Task:
    """One fit: a candidate on a split with a seed."""

    candidate: int
    column: int  # of cv_results_
    fold: tuple  # (preprocessing, split): the key of its Fold
    model: Any  # the whole unfitted model of the candidate
    final: Any  # what is fitted: a net, or the last step of the pipeline
    stack: Any  # tasks of equal keys may be trained in one stack; None: alone
    params: dict  # of the candidate


def _key(value):
    """Equal for equal values of a parameter."""
    try:
        return joblib.hash(value)
    except Exception:  # not to be pickled: then the same object is equal to itself
        return id(value)


def make_tasks(estimator, candidates, n_splits, seeds):
    """All fits, candidate by candidate, and the model whose preprocessing each kind of Fold takes.

    Returns
    -------
    tasks : list of Task
    models : dict of {preprocessing key: model}
    """
    tasks, models = [], {}
    for c, params in enumerate(candidates):
        model = clone(estimator).set_params(**clone(params, safe=False))
        last = f"{model.steps[-1][0]}__" if is_chain(model) else ""
        outer = {name: value for name, value in params.items() if last and not name.startswith(last)}
        prep = tuple(sorted((name, _key(value)) for name, value in outer.items() if f"{name}__" != last))
        models.setdefault(prep, model)
        final = final_step(model)
        stack = None
        if unstackable(final) is None:
            shared = {name: value for name, value in params.items() if name not in outer}
            varied = {f"{last}{name}" for name in (*final.stacks_over, "random_state")}
            own = [(name, _key(value)) for name, value in {**shared, **outer}.items() if name not in varied]
            stack = (prep, type(final), *sorted(own))
        for s, seed in enumerate(seeds):
            for k in range(n_splits):
                net = _seeded(clone(final), seed)
                tasks.append(Task(c, s * n_splits + k, (prep, k), model, net, stack, params))
    return tasks, models


def _seeded(final, seed):
    return final if seed is None else final.set_params(random_state=seed)


class Trained(NamedTuple):
    """A fitted estimator, or why there is none."""

    final: Any
    exception: Exception | None
    trace: str | None
    seconds: float


def run_job(tasks, folds, settings, report=None):
    """Train and score the tasks, which are alike or only one; return what came out of each, in their order."""
    out, shared = [], {key: Shared() for key in folds}
    try:
        if report is not None and report.interrupted:
            raise KeyboardInterrupt
        run = functools.partial(train, folds=folds, shared=shared, report=report)
        for part, trained in trained_parts(tasks, folds, settings.stack_memory, shared, run):
            for task, one in zip(part, trained):
                out.append(score(task, folds[task.fold], one, settings))
    except KeyboardInterrupt:
        if report is None:
            raise
        report.interrupted = True
    return out + [lost(settings)] * (len(tasks) - len(out))


def train(tasks, folds, shared, report=None):
    """Train the tasks, which are alike or only one; a list of Trained, in their order."""
    good = [task for task in tasks if folds[task.fold].exception is None]
    done = {}
    if good and good[0].stack is not None:
        try:
            done = _train_together(good, folds, shared, report)
        except torch.OutOfMemoryError:
            if len(good) > 1:
                raise
        except Exception as error:
            _warn(
                f"{type(good[0].final).__name__} could not be trained in a stack, so its {len(good)} models are trained "
                f"one by one: {type(error).__name__}: {error}"
            )
    for task in good:
        if id(task) not in done:
            done[id(task)] = _train_alone(task, folds[task.fold], report)
    failed = {key: Trained(None, fold.exception, fold.trace, fold.seconds) for key, fold in folds.items()}
    return [done.get(id(task), failed[task.fold]) for task in tasks]


def _train_alone(task, fold, report):
    if report is not None and report.interrupted:
        return Trained(None, KeyboardInterrupt(), "interrupted before it was trained", 0.0)
    start, before, (X, y) = time.time(), trainings_ended(), fold.train
    try:
        task.final.fit(X, **fold.fit_params) if y is None else task.final.fit(X, y, **fold.fit_params)
    except KeyboardInterrupt as error:
        if report is None:
            raise
        report.interrupted = True
        return Trained(None, error, "interrupted in its training", time.time() - start)
    except Exception as error:
        return Trained(None, error, traceback.format_exc(), time.time() - start)
    interrupted = trainings_ended() > before
    if report is not None:
        report.interrupted |= interrupted
        report.done([task])
    elif interrupted:
        raise KeyboardInterrupt
    return Trained(task.final, None, None, time.time() - start)


def _train_together(tasks, folds, shared, report):
    """Train the nets of all tasks in as few stacks as their shapes allow; {id(task): Trained}."""
    start, before, members, trained = time.time(), trainings_ended(), [], {}
    by_fold = {}
    for task in tasks:
        by_fold.setdefault(task.fold, []).append(task)
    for key, found in by_fold.items():
        nets, fold = [clone(task.final) for task in found], folds[key]  # the task's own is for another try
        made = make_members(nets, *fold.train, **fold.fit_params, shared=shared[key])
        members += list(zip(found, made))
    if trainings_ended() > before:  # the user has stopped an earlier stage
        raise KeyboardInterrupt
    preparation = (time.time() - start) / len(tasks)
    tasks_of = {id(member): task for task, member in members}
    ready = [member for _, member in members if member.exception is None]
    for stack in stacks_of(ready):
        own = [tasks_of[id(member)] for member in stack]
        if report is not None and report.interrupted:
            for member in stack:
                member.exception, member.trace = KeyboardInterrupt(), "interrupted before it was trained"
            continue
        start = time.time()
        interrupted = train_stack(stack, report and report.watch(own, stack, folds))
        seconds = (time.time() - start) / len(stack)
        trained |= {id(member): seconds for member in stack}
        if report is not None:
            report.interrupted |= interrupted
            report.done(own)
        elif interrupted:
            raise KeyboardInterrupt
    return {
        id(task): Trained(member.net, member.exception, member.trace, preparation + trained.get(id(member), 0.0))
        for task, member in members
    }


def scores_of(task, fold, final, settings, parts=("test",)):
    """The scores of a fitted last step on the rows of its split, {part: scores}."""
    found = {}
    with fold.remembered(task.model, final) as model:
        for part in parts:
            X, y, params = fold.raw[part]
            found[f"{part}_scores"] = score_model(model, X, y, settings.scorer, params, settings.error_score)
    return found


def _score_names(settings):
    return ("test_scores", "train_scores") if settings.return_train_score else ("test_scores",)


def score(task, fold, trained, settings):
    """What scikit-learn's searches note of a fit."""
    out = {"fit_error": trained.trace, "fit_time": trained.seconds, "score_time": 0.0, "n_test_samples": 0}
    if trained.exception is not None:
        if not isinstance(trained.exception, KeyboardInterrupt):
            trained.exception.add_note(f"The candidate is {task.params}.")
            out["fit_error"] += trained.exception.__notes__[-1]
        if settings.error_score == "raise" and not isinstance(trained.exception, KeyboardInterrupt):
            raise trained.exception
        names = getattr(settings.scorer, "_scorers", None)
        value = float("nan") if settings.error_score == "raise" else settings.error_score
        for part in _score_names(settings):
            out[part] = value if names is None else dict.fromkeys(names, value)
        return out
    start = time.time()
    out |= scores_of(task, fold, trained.final, settings, [name[:-7] for name in _score_names(settings)])
    return {**out, "score_time": time.time() - start, "n_test_samples": num_samples(fold.raw["test"][0])}


def lost(settings):
    """What is noted of a fit that an interrupt has prevented."""
    why = "interrupted before it was trained"
    return score(None, None, Trained(None, KeyboardInterrupt(), why, 0.0), settings)


def split_jobs(tasks, n_jobs):
    """Lists of tasks: those that may share a stack together, in one part per process; all others alone."""
    alike, jobs = {}, []
    for task in tasks:
        if task.stack is None:
            jobs.append([task])
        else:
            alike.setdefault(task.stack, []).append(task)
    for found in alike.values():
        found = sorted(found, key=lambda task: task.column)  # a split's rows go to as few processes as possible
        size = -(-len(found) // n_jobs)
        jobs += [found[start : start + size] for start in range(0, len(found), size)]
    return jobs


def fix_seeds(tasks, draw):
    """Give the nets without a ``random_state`` one, the same for all candidates of a column."""
    for task in tasks:
        if isinstance(task.final, BaseNet) and task.final.random_state is None:
            task.final.set_params(random_state=draw)


def train_on_all(estimator, candidates, data, stack_memory):
    """A model of each candidate, fitted on all rows; None, and a warning, where that failed."""
    tasks, models = make_tasks(estimator, candidates, 1, [None])
    rows = np.arange(num_samples(data.X))
    folds = {(prep, 0): make_fold(model, data, rows, None) for prep, model in models.items()}
    found = {}
    for job in split_jobs(tasks, 1):
        shared = {key: Shared() for key in folds}
        run = functools.partial(train, folds=folds, shared=shared)
        for part, trained in trained_parts(job, folds, stack_memory, shared, run):
            for task, one in zip(part, trained):
                found[task.candidate] = None if one.exception else folds[task.fold].assemble(task.model, one.final)
                if one.exception is not None:
                    _warn(f"candidate {candidates[task.candidate]} could not be fitted on all rows: {one.exception!r}")
    return [found[index] for index in range(len(candidates))]


def _warn(text):
    warnings.warn(text, UserWarning, stacklevel=2)
