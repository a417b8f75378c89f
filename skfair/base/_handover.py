"""What a fitted net becomes for others: a file of ours, a plain torch module, an ONNX file."""

import copy

from sklearn.utils.validation import check_is_fitted

from skfair.base._onnx import OnnxExport

__all__ = ["HandedOver"]


class HandedOver(OnnxExport):
    """Mixed into ``LoopNet``."""

    only_in_training = ()  # fitted attributes that predictions do not need: left out of a file that cannot hold them

    def to_torch(self):
        """A copy of the trained network, a plain torch module on the CPU in evaluation mode.

        It takes what the network sees, a float32 tensor of rows behind any preprocessing, and gives its outputs: the
        logits of a classifier, in the order of ``classes_`` (a single one is that of the second class).

        Returns
        -------
        torch.nn.Module
        """
        check_is_fitted(self)
        return copy.deepcopy(self.module_).to("cpu").eval()

    def restore(self):
        """Make anew what a saved file does not hold, before the networks are built; see ``save``."""

    def save(self, path):
        """Write the fitted net to one file, to be read by :func:`skfair.load`.

        Weights are safetensors, all else is JSON in the header of the same file. There is no pickle in it, and reading
        it runs no code. The state of the optimizers and the callbacks are left out.

        Parameters
        ----------
        path : str or path-like
            A file of that name is replaced, at once or not at all.

        Raises
        ------
        NotFittedError
        TypeError
            If a parameter or a fitted part cannot be written as numbers, text and classes: a module instance, a lambda,
            a fitted estimator of another library. The message names it.
        """
        from skfair.base._persistence import save

        save(self, path)
