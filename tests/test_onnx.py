"""Networks as ONNX files: another runtime computes what predict says."""

import json
import sys

import numpy as np
import pytest
import torch
from common import GENTLE, all_nets, output, rows, small
from sklearn.linear_model import LogisticRegression

from skfair.representation import FFVAETransformer
from skfair.reprogramming import ReprogrammedClassifier
from skfair.robust import ERMClassifier

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

FAST = {"FDVAETransformer"}
TINY = dict(module__d_model=8, module__n_heads=2, module__n_layers=2)
NETS = [
    pytest.param(name, cls, id=name, marks=() if name in FAST else pytest.mark.slow)
    for name, cls in all_nets()
    if name != "DVGETransformer"
]


def run(path, net, X, n=None):
    """The file's answers to the first n rows."""
    return onnxruntime.InferenceSession(path).run(None, {"X": net.network_inputs(X)[:n].astype(np.float32)})


def same(net, X, path):
    """Any number of rows is answered as the net answers."""
    net.to_onnx(path)
    for n in (1, 5, len(X)):
        found, expected = run(path, net, X, n), output(net, X)[:n]
        assert found[-1].dtype == np.float32
        assert found[-1].shape == expected.shape
        assert np.allclose(found[-1], expected, rtol=0, atol=1e-5)
        if len(found) == 2:
            assert found[0].dtype == np.int64
            assert net.classes_[found[0]].tolist() == net.predict(X[:n]).tolist()


@pytest.mark.parametrize(("name", "cls"), NETS)
def test_every_net(name, cls, tmp_path, capfd):
    X, y, s = rows()
    net = small(cls, **GENTLE.get(name, {})).fit(X, y, sensitive_features=s)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    same(net, X, tmp_path / "net.onnx")
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]
    assert capfd.readouterr() == ("", "")


def _inputs():
    rng = np.random.default_rng(0)
    table, images = rng.normal(size=(60, 6)), rng.random((60, 3, 16, 16))
    table[:, 4:] = table[:, 4:] > 0
    return {"table": table, "image": images, "text": ["a good film", "a bad film here", "good, good"] * 20}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "kind", "arguments"),
    [("plr", "table", {}), ("tabm", "table", {}), ("ft_transformer", "table", TINY), ("cnn", "image", {}),
     ("resnet18", "image", {}), ("vit", "image", {**TINY, "module__patch_size": 4}), ("text_transformer", "text", TINY)],
)  # fmt: skip
def test_networks_of_all_kinds_and_three_classes(module, kind, arguments, tmp_path):
    X, y = _inputs()[kind], np.arange(60) % 3
    same(ERMClassifier(module=module, max_epochs=1, random_state=0, **arguments).fit(X, y), X, tmp_path / "net.onnx")


@pytest.mark.slow
def test_a_trigger_of_tokens(tmp_path):
    X = _inputs()["table"]
    y = (X[:, 0] > 0).astype(int)
    base = ERMClassifier(module="ft_transformer", max_epochs=1, random_state=0, **TINY).fit(X, y)
    net = ReprogrammedClassifier(base, trigger="append", max_epochs=1, random_state=0)
    same(net.fit(X, y, sensitive_features=X[:, 4]), X, tmp_path / "net.onnx")


def test_labels_and_what_the_file_says_of_itself(tmp_path):
    X, y, s = rows()
    net = small(ERMClassifier).fit(X, np.array(["no", "yes"])[y])
    same(net, X, tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    told = session.get_modelmeta().custom_metadata_map
    classes = np.array(json.loads(told["classes"]))
    assert told["estimator"].endswith("ERMClassifier")
    assert classes[session.run(["label"], {"X": X.astype(np.float32)})[0]].tolist() == net.predict(X).tolist()
    assert [part.name for part in session.get_outputs()] == ["label", "probabilities"]


# ---------------------------------------------------------------------- what is refused
def test_what_is_no_network(tmp_path):
    X, y, s = rows()
    net = small(ReprogrammedClassifier, estimator=LogisticRegression().fit(X, y)).fit(X, y, sensitive_features=s)
    with pytest.raises(TypeError, match="stands on a LogisticRegression: only networks"):
        net.to_onnx(tmp_path / "net.onnx")
    noisy = small(FFVAETransformer, removal="noise").fit(X, y, sensitive_features=s)
    with pytest.raises(TypeError, match="removal='noise'"):
        noisy.to_onnx(tmp_path / "net.onnx")
    codes = small(dict(all_nets())["DVGETransformer"]).fit(X, y, sensitive_features=s)
    with pytest.raises(TypeError, match="its encoder_"):
        codes.to_onnx(tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


class Powers(torch.nn.Module):
    """ONNX knows no matrix exponential."""

    def __init__(self, in_features):
        super().__init__()
        self.head = torch.nn.Linear(in_features, 2)

    def forward(self, x):
        return torch.matrix_exp(torch.diag_embed(self.head(x))).sum(1)


def test_what_the_exporter_does_not_know_is_named(tmp_path, capfd):
    X, y, s = rows()
    net = small(ERMClassifier, module=Powers).fit(X, y)
    with pytest.raises(TypeError, match=r"torch's exporter cannot write Powers of ERMClassifier: .*matrix_exp"):
        net.to_onnx(tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")


def test_without_the_packages(monkeypatch, tmp_path):
    X, y, _ = rows()
    net = small(ERMClassifier).fit(X, y)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ImportError, match=r"skfair\[onnx\]"):
        net.to_onnx(tmp_path / "net.onnx")


def test_a_failing_write_leaves_the_old_file(tmp_path, monkeypatch):
    X, y, _ = rows()
    path = tmp_path / "net.onnx"
    path.write_bytes(b"old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        small(ERMClassifier).fit(X, y).to_onnx(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
