"""Who has ended a training: the user with Ctrl-C, or a callback, which raises the same error to stop its net."""

import contextlib
import dis
import warnings

__all__ = ["note_interrupt", "raised_on_purpose", "stages_of", "trainings_ended"]

_ended = 0


def note_interrupt():
    """Count a training that the user has ended; skorch's loop says nothing of it to its caller."""
    global _ended
    _ended += 1


def trainings_ended():
    """Number of trainings that the user has ended in this process, those of earlier stages included."""
    return _ended


def raised_on_purpose(error):
    """Whether a ``raise`` statement has made this error. Ctrl-C comes at any other place."""
    trace = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    return dis.opname[trace.tb_frame.f_code.co_code[trace.tb_lasti]] == "RAISE_VARARGS"


@contextlib.contextmanager
def stages_of(net):
    """Warn if one of the earlier stages that are trained in this block is interrupted."""
    before = trainings_ended()
    yield
    if trainings_ended() > before:
        warnings.warn(
            f"an earlier stage of {type(net).__name__} was interrupted: it keeps what it has learnt so far.",
            UserWarning,
            stacklevel=4,
        )
