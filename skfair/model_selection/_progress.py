"""The bar over a search: how far it is, and the best point so far."""

import contextlib
import time
import warnings

import numpy as np

__all__ = ["Report"]

SHARE = 0.05  # of the time, at most, goes into scoring models in training


class Report:
    """Keeps what is known while a search runs, shows it if asked, and notes an interrupt.

    Parameters
    ----------
    n_tasks : int
    verbose : int
        0 shows nothing.
    choose : callable
        From means ``{"mean_test_<score>": array}`` to the index of the best of them.
    score : callable
        ``score(task, fold, net)``, the scores of a net in training.
    """

    def __init__(self, n_tasks, verbose, choose, score):
        self.interrupted = False
        self.choose, self.score = choose, score
        self.known = {}  # candidate -> column -> scores
        self.bar, self.stood, self.spent, self.start = None, {}, 0.0, time.time()
        if verbose:
            from tqdm.auto import tqdm

            form = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total_fmt} models [{elapsed}<{remaining}{postfix}]"
            self.bar = tqdm(total=n_tasks, desc="FrontierSearchCV", bar_format=form)

    def watch(self, tasks, members, folds):
        """What a stack is to call after each epoch; None if nothing is shown."""
        if self.bar is None:
            return None
        of = {id(member): task for member, task in zip(members, tasks)}

        def on_epoch(stack):
            own = [of[id(member)] for member in stack.members_]
            share = 1 / stack._epochs[1]
            for task in own:
                self.stood[id(task)] = self.stood.get(id(task), 0.0) + share
            self._advance(len(own) * share)
            if self.spent <= SHARE * (time.time() - self.start):
                self._look(stack, own, folds)

        return on_epoch

    def _look(self, stack, tasks, folds):
        start = time.time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they come again, when the trained models are scored
            for k, (task, member) in enumerate(zip(tasks, stack.members_)):
                if member.exception is None:
                    stack.hand_out(k)
                    with contextlib.suppress(Exception):  # an error in scoring comes again as well
                        self.note(task, self.score(task, folds[task.fold], member.net))
        self.show()
        self.spent += time.time() - start

    def note(self, task, scores):
        """Keep the scores of a task."""
        scores = scores if isinstance(scores, dict) else {"score": scores}
        self.known.setdefault(task.candidate, {})[task.column] = scores

    def done(self, tasks):
        """These tasks are trained."""
        if self.bar is not None:
            self._advance(sum(1 - self.stood.get(id(task), 0.0) for task in tasks))

    def _advance(self, models):
        self.bar.update(min(models, self.bar.total - self.bar.n))  # sums of parts may round upwards

    def show(self):
        """Show the best point so far."""
        if self.bar is None or not self.known:
            return
        candidates = sorted(self.known)
        names = next(iter(self.known[candidates[0]].values()))
        means = {
            f"mean_test_{name}": np.array([np.mean([s[name] for s in self.known[c].values()]) for c in candidates])
            for name in names
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                best = self.choose(means)
            except Exception:  # a rule of the user's that reads more than means
                return
        shown = [f"{name.removeprefix('mean_test_')} {values[best]:.4g}" for name, values in means.items()]
        self.bar.set_postfix_str(f"best: {', '.join(shown)}")

    def close(self):
        """End the bar."""
        if self.bar is not None:
            self.bar.close()
