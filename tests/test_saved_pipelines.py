"""save and load of estimators that hold nets."""

import contextlib
import io
import json
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
from common import Net, rows, small
from safetensors import safe_open
from safetensors.torch import save_file
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import skfair
from skfair.model_selection import ThresholdSearchCV
from skfair.preprocessing import TokenEncoder, make_tabular_pipeline, make_tabular_preprocessor
from skfair.representation import VAETransformer
from skfair.robust import ERMClassifier, GroupDROClassifier


def table(n=120):
    X, y, s = rows(n)
    job = np.array(["nurse", None, "cook"], dtype=object)[np.arange(n) % 3]
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1].round(1), "job": job, "kind": pd.Categorical(s)})
    frame.loc[::7, "b"] = np.nan
    return frame, y, s


def kept(model, X, path, **options):
    """The model as it comes back; its predictions are equal to the last digit, and its file has no pickle."""
    skfair.save(model, path / "model.skfair")
    again = skfair.load(path / "model.skfair", **options)
    assert type(again) is type(model)
    method = "predict_proba" if hasattr(model, "predict_proba") else "transform"
    assert np.array_equal(getattr(again, method)(X), getattr(model, method)(X))
    assert repr(again) == repr(model)
    assert [p.name for p in path.iterdir()] == ["model.skfair"]
    return again


# ---------------------------------------------------------------------- what is kept
@pytest.mark.parametrize(
    "options",
    [{}, {"numeric": "quantile", "min_frequency": 5}, {"numeric": "minmax", "categorical": "ordinal", "random_state": None},
     {"numeric": "passthrough", "frequent_values": None}],
)  # fmt: skip
def test_a_pipeline_for_tables(options, tmp_path):
    X, y, s = table()
    model = make_tabular_pipeline(small(GroupDROClassifier), **options).fit(X, y, net__sensitive_features=s)
    again = kept(model, X, tmp_path)
    assert type(again["net"]) is GroupDROClassifier
    assert again["net"].groups_ == model["net"].groups_
    assert again[:-1].get_feature_names_out().tolist() == model[:-1].get_feature_names_out().tolist()
    again.fit(X, y, net__sensitive_features=s)  # it is a whole estimator
    assert np.array_equal(again.predict_proba(X), model.predict_proba(X))


def test_polars_goes_in_and_out(tmp_path):
    polars = pytest.importorskip("polars")
    X, y, s = table()
    X = polars.from_pandas(X.assign(kind=X["kind"].astype(str)))
    kept(make_pipeline(make_tabular_preprocessor(), small(ERMClassifier)).fit(X, y), X, tmp_path)


def test_nets_anywhere(tmp_path):
    X, y, s = rows()
    nets = [small(ERMClassifier, random_state=i).fit(X, y) for i in range(2)]
    inside = make_column_transformer((small(VAETransformer), [0, 1]), (StandardScaler(), [2, 3]))
    for model in (
        VotingClassifier([("a", small(ERMClassifier)), ("b", LogisticRegression())], voting="soft"),
        make_pipeline(inside, make_pipeline(StandardScaler(), small(ERMClassifier))),
        FixedThresholdClassifier(FrozenEstimator(nets[0]), threshold=0.3),
        LogisticRegression(),
    ):
        kept(model.fit(X, y), X, tmp_path)
    again = kept(nets[0], X, tmp_path)
    assert type(again) is ERMClassifier


def test_a_net_that_is_there_twice_is_saved_once(tmp_path):
    X, y, s = rows()
    net = small(ERMClassifier).fit(X, y)
    model = VotingClassifier([("a", FrozenEstimator(net)), ("b", FrozenEstimator(net))], voting="soft").fit(X, y)
    again = kept(model, X, tmp_path)
    assert again.estimators[0][1].estimator is again.estimators[1][1].estimator


def test_texts(tmp_path):
    texts, y = ["a good film", "a bad film", "good, good", "bad, bad"] * 10, [1, 0] * 20
    net = small(ERMClassifier, module="text_transformer", module__d_model=8, module__n_heads=2, module__n_layers=1)
    kept(make_pipeline(TokenEncoder(), net).fit(texts, y), texts, tmp_path)


def test_the_threshold_that_a_search_chose(tmp_path):
    X, y, s = rows()
    search = ThresholdSearchCV(small(ERMClassifier), cv=2, scoring="accuracy", refit=True).fit(X, y)
    with pytest.raises(TypeError, match="a ThresholdSearchCV is not saved as a whole.*its estimator_"):
        skfair.save(search, tmp_path / "model.skfair")
    model = FixedThresholdClassifier(FrozenEstimator(search.estimator_), threshold=search.best_threshold_).fit(X, y)
    assert kept(model, X, tmp_path).predict(X).tolist() == search.predict(X).tolist()


def test_what_the_user_vouches_for(tmp_path):
    X, y, s = rows()
    forest = make_pipeline(StandardScaler(), RandomForestClassifier(2, random_state=0)).fit(X, y)
    with pytest.raises(ValueError, match=r"not trusted.*trusted=\['sklearn.tree._tree.Tree'\]"):
        kept(forest, X, tmp_path)
    kept(forest, X, tmp_path, trusted=["sklearn.tree._tree.Tree"])
    own = make_pipeline(FunctionTransformer(doubled), small(ERMClassifier, module=Net)).fit(X, y)
    with pytest.raises(ValueError, match=rf"trusted=\['{__name__}.doubled'\]"):
        kept(own, X, tmp_path)
    kept(own, X, tmp_path, trusted=[doubled, Net])


def doubled(X):
    return 2 * X


# ---------------------------------------------------------------------- what is refused
def test_what_cannot_be_saved(tmp_path):
    X, y, s = rows()
    for model, words in [
        (
            make_pipeline(FunctionTransformer(lambda X: X), small(ERMClassifier)),
            "Pipeline holds what skops cannot write.*lambda",
        ),
        (make_pipeline(StandardScaler(), small(ERMClassifier, module=Net())), "instance of Net"),
        (GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=2), "save what it found, its best_estimator_"),
    ]:
        with pytest.raises(TypeError, match=words):
            skfair.save(model.fit(X, y), tmp_path / "model")
    with pytest.raises(NotFittedError):
        skfair.save(make_tabular_pipeline(ERMClassifier()), tmp_path / "model")
    with pytest.raises(TypeError, match="not an estimator"):
        skfair.save(3, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_without_skops(monkeypatch, tmp_path):
    X, y, s = rows()
    monkeypatch.setitem(sys.modules, "skops.io", None)
    with pytest.raises(ImportError, match=r"skfair\[report\]"):
        skfair.save(LogisticRegression().fit(X, y), tmp_path / "model")
    skfair.save(small(ERMClassifier).fit(X, y), tmp_path / "model")
    skfair.load(tmp_path / "model")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    X, y, s = table()
    path = tmp_path_factory.mktemp("saved") / "model.skfair"
    skfair.save(make_pipeline(make_tabular_preprocessor(), small(ERMClassifier)).fit(X, y), path)
    return path.read_bytes()


@pytest.mark.parametrize("keep", [0, 7, 100, -1, -5000])
def test_a_truncated_file(keep, whole, tmp_path):
    (tmp_path / "model").write_bytes(whole[:keep])
    with pytest.raises(ValueError, match="model is no file of skfair, or is damaged"):
        skfair.load(tmp_path / "model")


def test_flipped_bytes_raise_or_change_numbers_alone(whole, tmp_path):
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(whole), size=80):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        (tmp_path / "model").write_bytes(bytes(damaged))
        with contextlib.suppress(ValueError):  # no other error, whatever the byte
            skfair.load(tmp_path / "model")


def rewritten(whole, path, change):
    """The same file, with another schema for skops."""
    path.write_bytes(whole)
    with safe_open(path, framework="pt") as stream:
        header = json.loads(stream.metadata()["skfair"])
        tensors = {name: stream.get_tensor(name) for name in stream.keys()}
    key = header["estimator"]["skops"]
    with zipfile.ZipFile(io.BytesIO(tensors[key].numpy().tobytes())) as old:
        members = {name: old.read(name) for name in old.namelist()}
    members["schema.json"] = change(members["schema.json"].decode()).encode()
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as new:
        for name, content in members.items():
            new.writestr(name, content)
    tensors[key] = torch.frombuffer(bytearray(data.getvalue()), dtype=torch.uint8)
    save_file(tensors, path, metadata={"skfair": json.dumps(header)})


@pytest.mark.parametrize(
    "name", ["os.system", "builtins.eval", "skfair.load", "skfair.base._files.write_bytes", "torch.load",
             "skfair.robust._erm.ERMClassifier", "skfair.preprocessing._tabular.make_pipeline",
             "skfair.preprocessing._columns.pd", "skfair.nothing.f",
             "sklearn.datasets.fetch_openml"],
)  # fmt: skip
def test_a_file_cannot_name_what_is_not_trusted(name, whole, tmp_path):
    module, _, path = name.rpartition(".")
    old = '"__class__": "_to_text",\n'

    def change(schema):
        assert old in schema
        start = schema.index(old)
        end = schema.index("__loader__", start)
        return f'{schema[:start]}"__class__": "{path}", "__module__": "{module}", "{schema[end:]}'

    rewritten(whole, tmp_path / "model", change)
    with pytest.raises(ValueError, match=f"not trusted.*'{name}'"):
        skfair.load(tmp_path / "model")


def test_a_slot_without_a_net_and_what_is_no_estimator(whole, tmp_path):
    X, y, s = rows()
    rewritten(whole, tmp_path / "model", lambda schema: schema.replace('"content": "0"', '"content": "7"'))
    with pytest.raises(ValueError, match="does not describe a whole"):
        skfair.load(tmp_path / "model")
    rewritten(whole, tmp_path / "model", lambda schema: "[]")
    with pytest.raises(ValueError, match="does not describe a whole"):
        skfair.load(tmp_path / "model")
