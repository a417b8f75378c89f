"""Random streams that leave torch's global generator as they found it.

Initialisation and dropout draw from torch's global generator and take no generator of their own. A stream lends its own
state to the global generator for the length of a ``with`` block and takes it back afterwards.
"""

import contextlib
import numbers
import zlib

import numpy as np
import torch

__all__ = ["Streams", "draw_seed"]


def draw_seed(random_state):
    """Return an integer seed: the one given, one drawn from the generator given, or fresh entropy for None."""
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(random_state, numbers.Integral):
        if random_state < 0:
            raise ValueError(f"random_state must be >= 0, got {random_state}.")
        return int(random_state)
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31 - 1))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    raise TypeError(
        "random_state must be None, an int, a numpy Generator or a numpy RandomState, "
        f"got {type(random_state).__name__}: {random_state!r}."
    )


class Streams:
    """Independent random streams, one per name, all decided by one seed.

    A stream depends on the seed and on its own name alone: adding an adversary does not move the network's dropout.

    Examples
    --------
    >>> import torch
    >>> streams = Streams(0, device="cpu")
    >>> before = torch.get_rng_state()
    >>> with streams("network"):
    ...     a = torch.rand(1)
    >>> bool((torch.get_rng_state() == before).all())
    True
    """

    def __init__(self, seed, device="cpu"):
        self.seed = seed
        self.device = torch.device(device)
        self._states = {}
        self._generators = {}

    def seed_of(self, name):
        """The integer seed of one stream."""
        entropy = np.random.SeedSequence([self.seed, zlib.crc32(name.encode())])
        return int(entropy.generate_state(1, np.uint64)[0] >> 1)

    def numpy(self, name):
        """The numpy generator of this name; the same object, further along, in each call."""
        if name not in self._generators:
            self._generators[name] = np.random.default_rng(self.seed_of(name))
        return self._generators[name]

    @contextlib.contextmanager
    def __call__(self, name):
        """Let torch's global generator be this stream inside the block."""
        outer = self._get()
        try:
            if name in self._states:
                self._set(self._states[name])
            else:
                self._seed_global(self.seed_of(name))
            yield self
        finally:
            self._states[name] = self._get()
            self._set(outer)

    def position(self):
        """How far all streams are, for ``go_back``."""
        return self._get(), dict(self._states), {name: g.bit_generator.state for name, g in self._generators.items()}

    def go_back(self, position):
        """Let all streams draw again what they have drawn since; within the same blocks as ``position``."""
        now, self._states, generators = position[0], dict(position[1]), position[2]
        self._set(now)
        for name, generator in self._generators.items():  # in place: loaders hold them
            begun = generators.get(name) or np.random.default_rng(self.seed_of(name)).bit_generator.state
            generator.bit_generator.state = begun

    @contextlib.contextmanager
    def apart(self, number):
        """Let the global generator, inside the block, be one that depends on the number too.

        The stream that it was goes on afterwards, and alike for all numbers.
        """
        seed = int(torch.randint(2**62, ()))
        outer = self._get()
        try:
            self._seed_global(seed + number)
            yield self
        finally:
            self._set(outer)

    def _seed_global(self, seed):
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _get(self):
        cuda = torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None
        return torch.get_rng_state(), cuda

    def _set(self, state):
        torch.set_rng_state(state[0])
        if state[1] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(state[1], self.device)
