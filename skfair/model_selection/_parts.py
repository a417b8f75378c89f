"""The fits of a job in parts that the memory holds."""

import gc
import warnings

import torch
from sklearn.base import clone

from skfair.base._interrupts import trainings_ended
from skfair.base._members import make_members
from skfair.base._stack import bytes_of

__all__ = ["trained_parts"]


def trained_parts(tasks, folds, stack_memory, shared, train):
    """Cut tasks, which are alike or only one, into parts whose stacks take no more than this memory, and train them.

    Where the device's memory does not suffice for a stack, it begins anew with half its models, as if it had been cut so
    from the beginning.

    Yields
    ------
    part : list of Task
    trained : list of Trained
        ``train(part)``.
    """
    before, rest = trainings_ended(), list(tasks)
    one = None if tasks[0].stack is None else _bytes_of_one(tasks, folds, shared)
    if trainings_ended() > before:  # the user has stopped an earlier stage
        raise KeyboardInterrupt
    size, why = _even(len(rest), len(rest) if one is None else max(1, int(stack_memory // one))), None
    while rest:
        part, trained = rest[:size], None
        try:
            trained = train(part)
        except torch.OutOfMemoryError as error:
            why = f"{error}".partition("\n")[0]
        if trained is None:  # the error, and with it what the stack has held, is gone by now
            _free()
            size = _even(len(rest), -(-len(part) // 2))
            continue
        if why is not None:
            _warn(tasks[0], size, one, why)
            why = None
        yield part, trained
        rest = rest[size:]


def _even(n, limit):
    """The size of as few parts as possible, of at most so many and nearly alike."""
    return -(-n // -(-n // limit))


def _bytes_of_one(tasks, folds, shared):
    """Memory that one of the nets takes in a stack; None if none can be built."""
    sizes = (_bytes(task, folds[task.fold], shared[task.fold]) for task in tasks)
    return next((size for size in sizes if size is not None), None)  # one that fails will do so again, in training


def _bytes(task, fold, shared):
    if fold.exception is not None:
        return None
    try:
        member = make_members([clone(task.final)], *fold.train, **fold.fit_params, shared=shared)[0]
        return bytes_of(member) if member.exception is None else None
    except Exception:
        return None


def _free():
    gc.collect()
    torch.cuda.empty_cache()  # does nothing where there is no GPU


def _warn(task, size, one, why):
    begin = "a smaller stack_memory" if one is None else f"stack_memory={size * one}"
    models = "one by one" if size == 1 else f"in stacks of {size}"
    warnings.warn(
        f"a stack of {type(task.final).__name__} ran out of memory: its models are trained {models} from here on, as with "
        f"{begin}. ({why})",
        UserWarning,
        stacklevel=2,
    )
