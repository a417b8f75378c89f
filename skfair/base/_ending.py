"""The end of a training that several processes share: Ctrl-C or a callback, in any of them, ends all at the same step."""

import signal
import threading
import time

__all__ = ["Ending"]

BY_CALLBACK, BY_USER = 1, 2
PATIENCE = 2.0  # seconds; a launcher may pass on the Ctrl-C that a terminal has sent already


class Ending:
    """Within this block Ctrl-C is held back: a process that left in mid-step would let the others wait for it.

    Pressed again, it leaves at once. A handler of the user's own stays.
    """

    asked = 0  # what this process has been asked: the reason
    _heard = None  # for each reason, how many processes had been asked at the last step
    _pressed = None

    def __enter__(self):
        main = threading.current_thread() is threading.main_thread()
        self._holds = main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._holds:
            signal.signal(signal.SIGINT, self._hold)
        return self

    def __exit__(self, *error):
        if self._holds:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _hold(self, number, frame):
        now = time.monotonic()
        self._pressed = self._pressed or now
        if now - self._pressed > PATIENCE:
            signal.default_int_handler(number, frame)
        self.asked = BY_USER

    def ask(self, stop):
        """Note a callback's KeyboardInterrupt, until all processes can end."""
        self.asked = max(self.asked, BY_CALLBACK if hasattr(stop, "by_callback") else BY_USER)

    def flags(self, like):
        """What the others are told, (2,): a tensor to be summed over the processes."""
        return like.new_tensor([float(self.asked == BY_CALLBACK), float(self.asked == BY_USER)])

    def hear(self, flags):
        """End the training if any process had been asked to at the step before: nobody waits for a GPU to know it."""
        before, self._heard = self._heard, flags
        if before is not None:
            by_callback, by_user = before.tolist()
            self.end_if(BY_USER if by_user else BY_CALLBACK if by_callback else 0)

    def end_if(self, reason):
        """End the training, as skorch does it, if there is a reason."""
        if reason:
            stop = KeyboardInterrupt()
            if reason == BY_CALLBACK:
                stop.by_callback = True
            raise stop
