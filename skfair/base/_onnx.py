"""The trained network as an ONNX file, with what predictions make of its output."""

import json
import warnings
from pathlib import Path

import torch
from sklearn.utils.validation import check_is_fitted
from torch import nn

import skfair
from skfair.base._files import write_bytes
from skfair.base._frozen import BlackBox, unwrapped

__all__ = ["OnnxExport"]


class OnnxExport:
    """Mixed into the nets: ``to_onnx``, by the hook ``readout``."""

    onnx_outputs = ("codes",)  # none: predictions are not made from the network's output

    def readout(self):
        """A function of tensors, from the network's output to what is predicted: one for each of ``onnx_outputs``."""
        return lambda output: (output,)

    def to_onnx(self, path):
        """Write the trained network to an ONNX file, for whatever runs such.

        It takes what the network sees, as :meth:`to_torch` does: "X", float32 rows behind any preprocessing, as many as
        there are (``network_inputs(X)`` gives them). A classifier's file gives "label" (int64, the position in
        ``classes_``) and "probabilities" (float32, in the order of ``classes_``), a transformer's "codes" (float32). All
        are computed in single precision. The metadata hold "classes" (JSON), "estimator" and "skfair" (its version).

        Parameters
        ----------
        path : str or path-like
            A file of that name is replaced, at once or not at all.

        Raises
        ------
        ImportError
            Without the packages onnx and onnxscript.
        NotFittedError
        TypeError
            If torch's exporter does not know an operation of the network, or predictions need more than a network.

        Examples
        --------
        >>> import os, tempfile
        >>> import onnxruntime
        >>> from skfair.datasets import make_biased_classification
        >>> from skfair.robust import ERMClassifier
        >>> data = make_biased_classification(200, random_state=0)
        >>> net = ERMClassifier(max_epochs=2, random_state=0).fit(data.data, data.target)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     net.to_onnx(os.path.join(folder, "net.onnx"))
        ...     session = onnxruntime.InferenceSession(os.path.join(folder, "net.onnx"))
        >>> label, probabilities = session.run(None, {"X": data.data.to_numpy("float32")})
        >>> bool((net.classes_[label] == net.predict(data.data)).all())
        True
        """
        check_is_fitted(self)
        model = _export(self)
        names = {"skfair": skfair.__version__, "estimator": f"{type(self).__module__}.{type(self).__qualname__}"}
        if "label" in self.onnx_outputs:
            names["classes"] = json.dumps(self.classes_.tolist(), default=str)
        for key, value in names.items():
            model.metadata_props.add(key=key, value=value)
        write_bytes(Path(path), model.SerializeToString())


class _Predictions(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.network, self.main, self.read = net.to_torch(), net.main_output, net.readout()

    def forward(self, X):
        return self.read(self.main(self.network(X)))


def _export(net):
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError("to_onnx needs onnx and onnxscript: pip install 'skfair[onnx]'.") from error
    inside, name = unwrapped(net.module_), type(net).__name__
    if not net.onnx_outputs:
        raise TypeError(f"{name} does not return what its network gives, but what its encoder_ does: write that one.")
    if isinstance(inside, BlackBox):
        raise TypeError(f"{name} stands on a {type(inside.estimator).__name__}: only networks become ONNX files.")
    module, rows = _Predictions(net).eval(), torch.zeros(3, *net.input_shape_)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"(torch|onnx|onnxscript)\.")
            warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)  # torch 2.11 warns itself
            program = torch.onnx.export(
                module, (rows,), dynamo=True, verbose=False, input_names=["X"], output_names=list(net.onnx_outputs),
                dynamic_shapes=({0: torch.export.Dim("rows")},),
            )  # fmt: skip
    except torch.onnx.OnnxExporterError as error:
        cause = str(error.__cause__ or error).strip().split("\n")[0]
        raise TypeError(f"torch's exporter cannot write {type(inside).__name__} of {name}: {cause}") from error
    model = program.model_proto
    if not model.graph.input[0].type.tensor_type.shape.dim[0].dim_param:
        raise TypeError(f"torch's exporter fixes the number of rows of {type(inside).__name__} of {name}.")
    return model
