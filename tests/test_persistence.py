"""save and load."""

import contextlib
import json

import numpy as np
import pandas as pd
import pytest
import torch
from common import GENTLE, Net, all_nets, output, rows, small
from safetensors import safe_open
from safetensors.torch import save_file
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import skfair
from skfair.robust import DistillationClassifier, ERMClassifier


@pytest.mark.parametrize(("name", "cls"), all_nets())
def test_every_net_comes_back_as_it_was(name, cls, tmp_path):
    X, y, s = rows()
    net = small(cls, **GENTLE.get(name, {})).fit(X, y, sensitive_features=s)
    net.save(tmp_path / "net.skfair")
    again = skfair.load(tmp_path / "net.skfair")
    assert type(again) is cls
    assert np.array_equal(output(net, X), output(again, X))
    assert repr(clone(net)) == repr(clone(again))
    assert again.history[:, "train_loss"] == net.history[:, "train_loss"]
    assert [p.name for p in tmp_path.iterdir()] == ["net.skfair"]
    again.fit(X, y, sensitive_features=s)  # it is a whole estimator
    assert np.array_equal(output(net, X), output(again, X))


def saved(tmp_path, **parameters):
    X, y, s = rows()
    net = small(ERMClassifier, **parameters).fit(X, y, sensitive_features=s)
    net.save(tmp_path / "net.skfair")
    return X, net, tmp_path / "net.skfair"


def rewritten(path, change):
    """The same file with another header."""
    with safe_open(path, framework="pt") as stream:
        header = json.loads(stream.metadata()["skfair"])
        tensors = {name: stream.get_tensor(name) for name in stream.keys()}
    change(header, tensors)
    save_file(tensors, path, metadata={"skfair": json.dumps(header)})


# ---------------------------------------------------------------------- what is kept
def test_labels_groups_and_names_of_any_kind(tmp_path):
    X, y, s = rows()
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    labels = np.array(["no", "yes"], dtype=object)[y]
    groups = pd.DataFrame({"sex": s, "age": np.where(X[:, 2] > 0, 1.5, np.nan)})
    net = small(ERMClassifier).fit(frame, labels, sensitive_features=groups)
    net.save(tmp_path / "net")
    again = skfair.load(tmp_path / "net")
    assert again.predict(frame).tolist() == net.predict(frame).tolist()
    assert again.classes_.dtype == net.classes_.dtype
    assert again.groups_ == net.groups_
    assert again.feature_names_in_.tolist() == list("abcd")
    with pytest.raises(ValueError, match="feature names"):
        again.predict(frame.rename(columns={"a": "z"}))


def test_training_can_go_on(tmp_path):
    X, y, s = rows()
    plain = {"optimizer": torch.optim.SGD, "momentum": 0.0, "module__dropout": 0.5}  # an optimizer without a state
    net = small(ERMClassifier, **plain).fit(X, y, sensitive_features=s)
    net.save(tmp_path / "net")
    again = skfair.load(tmp_path / "net")
    for one in (net, again):  # the random streams stand where they stood
        one.partial_fit(X, y, sensitive_features=s)
    assert np.array_equal(net.predict_proba(X), again.predict_proba(X))


def test_loading_leaves_the_global_generators_alone(tmp_path):
    _, _, path = saved(tmp_path)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    skfair.load(path)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


def test_texts(tmp_path):
    texts = ["a good film", "a bad film", "good, good", "bad, bad"] * 10
    y = [1, 0] * 20
    net = ERMClassifier(
        module="text_transformer",
        module__d_model=8,
        module__n_heads=2,
        module__n_layers=1,
        max_epochs=2,
        random_state=0,
    ).fit(texts, y)
    net.save(tmp_path / "net")
    assert np.array_equal(skfair.load(tmp_path / "net").predict_proba(texts), net.predict_proba(texts))


def test_a_module_of_the_users_own(tmp_path):
    X, y, s = rows()
    net = small(ERMClassifier, module=Net, module__width=3).fit(X, y, sensitive_features=s)
    net.save(tmp_path / "net")
    with pytest.raises(ValueError, match=r"common:Net.*trusted=\[Net\]"):
        skfair.load(tmp_path / "net")
    again = skfair.load(tmp_path / "net", trusted=[Net])
    assert np.array_equal(again.predict_proba(X), net.predict_proba(X))


def test_the_plain_module():
    X, y, s = rows()
    net = small(ERMClassifier).fit(X, y, sensitive_features=s)
    module = net.to_torch()
    assert type(module) is type(net.module_)
    assert module is not net.module_
    assert not module.training
    with torch.no_grad():
        p = torch.softmax(module(torch.from_numpy(X).float()), 1).numpy()
    assert np.allclose(p, net.predict_proba(X), atol=1e-6)
    module.encoder[1].weight.data.zero_()
    assert net.module_.encoder[1].weight.any()


# ---------------------------------------------------------------------- what is refused
def test_what_cannot_be_saved_is_named(tmp_path):
    X, y, s = rows()
    for parameters, words in [
        ({"module": Net()}, "module=.*instance of Net"),
        ({"sensitive_columns": lambda X: X[:, 0] > 0}, "lambda"),
    ]:
        net = small(ERMClassifier, **parameters).fit(X, y, **({} if "lambda" in words else {"sensitive_features": s}))
        with pytest.raises(TypeError, match=words):
            net.save(tmp_path / "net")
    with pytest.raises(NotFittedError):
        ERMClassifier().save(tmp_path / "net")
    assert not list(tmp_path.iterdir())


def test_a_teacher_of_another_library_is_left_out(tmp_path):
    from sklearn.tree import DecisionTreeClassifier

    X, y, _ = rows()
    net = DistillationClassifier(teacher=DecisionTreeClassifier(max_depth=2), max_epochs=2, random_state=0).fit(X, y)
    with pytest.warns(UserWarning, match=r"teacher_.*DecisionTreeClassifier.*left out"):
        net.save(tmp_path / "net")
    again = skfair.load(tmp_path / "net")
    assert np.array_equal(again.predict_proba(X), net.predict_proba(X))
    assert not hasattr(again, "teacher_")


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 100, -1, -100])
def test_a_truncated_file(keep, tmp_path):
    _, _, path = saved(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"net\.skfair is no file of skfair, or is damaged"):
        skfair.load(path)


def test_other_files(tmp_path):
    with pytest.raises(FileNotFoundError):
        skfair.load(tmp_path / "nothing")
    torch.save({"a": torch.ones(1)}, tmp_path / "pickle")
    save_file({"a": torch.ones(1)}, tmp_path / "weights")
    for name in ("pickle", "weights"):
        with pytest.raises(ValueError, match="is no file of skfair"):
            skfair.load(tmp_path / name)


def test_flipped_bytes_raise_or_change_numbers_alone(tmp_path):
    _, _, path = saved(tmp_path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(whole) // 2, size=60):  # the header is the first part
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(damaged))
        with contextlib.suppress(ValueError):  # no other error, whatever the byte
            assert isinstance(skfair.load(path), ERMClassifier)


@pytest.mark.parametrize(
    "name", ["os:system", "subprocess:Popen", "builtins:eval", "torch:load", "skfair:load", "torch.hub:load",
             "sklearn.utils:Bunch", "skfair.nothing:X", "torch.:X", "skfair.base._net:torch.os.system"],
)  # fmt: skip
def test_a_file_cannot_name_what_is_no_class_of_ours(name, tmp_path):
    _, _, path = saved(tmp_path)
    rewritten(path, lambda header, _: header["net"]["params"].update(module={"name": name}))
    with pytest.raises(ValueError, match=f"names '{name}'"):
        skfair.load(path)
    rewritten(path, lambda header, _: header["net"].update({"class": name}))
    with pytest.raises(ValueError, match=f"names '{name}'"):
        skfair.load(path)


def test_an_empty_description(tmp_path):
    _, _, path = saved(tmp_path)
    rewritten(path, lambda header, _: header["net"]["params"].update(lr={}))
    with pytest.raises(ValueError, match="does not describe a whole net"):
        skfair.load(path)


def test_a_later_format_and_weights_of_other_shapes(tmp_path):
    _, _, path = saved(tmp_path)
    rewritten(path, lambda header, _: header.update(format=99))
    with pytest.raises(ValueError, match=r"format 99.*use a later skfair"):
        skfair.load(path)
    _, _, path = saved(tmp_path)
    rewritten(path, lambda header, tensors: tensors.update({k: torch.zeros(3, 5, 7) for k in tensors}))
    with pytest.raises(ValueError, match=r"net\.skfair does not describe a whole net"):
        skfair.load(path)


def test_a_failing_write_leaves_the_old_file(tmp_path, monkeypatch):
    _, net, path = saved(tmp_path)
    whole = path.read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        net.save(path)
    assert path.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    net = small(ERMClassifier).fit(*rows()[:2])
    with pytest.raises(FileNotFoundError, match=r"net\.skfair cannot be written: there is no folder .*no"):
        net.save(tmp_path / "no" / "net.skfair")
