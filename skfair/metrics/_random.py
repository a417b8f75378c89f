"""A local random generator from whatever users pass as ``random_state``."""

import numbers

import numpy as np

__all__ = ["as_generator"]


def as_generator(random_state):
    """Return a numpy Generator; the global numpy state is neither read nor changed."""
    if random_state is None or isinstance(random_state, np.random.Generator):
        return np.random.default_rng(random_state)
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31 - 1, size=4))
    if isinstance(random_state, numbers.Integral) and random_state >= 0:
        return np.random.default_rng(int(random_state))
    raise ValueError(f"random_state must be None, an int >= 0, a Generator or a RandomState, got {random_state!r}.")
