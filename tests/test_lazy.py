"""X that does not lie in memory as float32: mapped arrays, torch Datasets, uint8. The nets are those of rows in memory."""

import functools
import pickle
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from common import (
    RIGHTLY_WARNED,
    ConvAutoencoder,
    all_nets,
    conv_for,
    output,
    same_weights,
    small,
    with_module,
)
from common import rows as some_rows
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from skorch.callbacks import Callback
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from skfair._lazy import LazyRows, MappedRows, as_lazy, is_lazy
from skfair.augmentation import GANGenerator, LatentDebiasingSampler, PCAGenerator, Resampled
from skfair.base import one_hot_blocks
from skfair.base._blocks import numeric_columns
from skfair.model_selection import FrontierSearchCV
from skfair.modules import TextTransformer
from skfair.representation import DVGEClassifier, VAETransformer
from skfair.robust import DistillationClassifier, ERMClassifier, GroupDROClassifier, JTTClassifier

pytestmark = RIGHTLY_WARNED
every_estimator = pytest.mark.parametrize("cls", [pytest.param(cls, id=name) for name, cls in all_nets()])


class Items(Dataset):
    """A row's features, a label that is not looked at, something else; counts how often it is asked."""

    def __init__(self, X):
        self.X, self.asked = X, 0

    def __len__(self):
        return len(self.X)

    def __getitem__(self, index):
        self.asked += 1
        return self.X[index], 7, "ignored"


@pytest.fixture
def mapped(tmp_path):
    def write(X):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.npy"
        np.save(path, X)
        return np.load(path, mmap_mode="r")

    return write


@pytest.fixture
def stays(monkeypatch):
    """Nobody reads all rows at once."""

    def checked(read):
        def toarray(rows):
            assert len(rows) < 2, "all rows were read as one array"
            return read(rows)

        return toarray

    for kind in (LazyRows, MappedRows):
        monkeypatch.setattr(kind, "toarray", checked(kind.toarray))


def images(n=60):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, 1, 5, 5), dtype=np.uint8), np.arange(n) % 2, np.arange(n) // 2 % 2


# ---------------------------------------------------------------------- all nets
@every_estimator
@pytest.mark.usefixtures("stays")
def test_a_mapped_array_and_a_dataset_are_the_rows_in_memory(cls, mapped):
    X, y, s = some_rows(60)
    X = np.column_stack([X, X[:, 0] > 0, X[:, 0] <= 0])  # the last two are a one-hot block
    nets = [small(cls, max_epochs=1).fit(given, y, sensitive_features=s) for given in (X, mapped(X), Items(X))]
    assert all(same_weights(net, nets[0]) for net in nets)
    made = [output(net, given) for net, given in zip([*nets, nets[0]], [X, mapped(X), Items(X), Items(X)])]
    assert all(np.array_equal(one, made[0]) for one in made)
    assert nets[1].n_features_in_ == nets[2].n_features_in_ == 6


def image_net(cls):
    if cls.__name__.startswith("DVGE"):  # its head reads codes
        encoder = VAETransformer(n_components=4, module=ConvAutoencoder, max_epochs=1)
        return small(cls, encoder=encoder, max_epochs=1)
    return small(cls, **with_module(cls, conv_for(cls), ConvAutoencoder), max_epochs=1)


@every_estimator
def test_uint8_is_float32_of_the_same_values(cls):
    X, y, s = images()
    nets = [image_net(cls).fit(given, y, sensitive_features=s) for given in (X.astype(np.float32), X)]
    assert same_weights(*nets)
    assert np.array_equal(output(nets[1], X), output(nets[0], X.astype(np.float32)))


# ---------------------------------------------------------------------- mapped arrays
@pytest.mark.parametrize("dtype", ["f8", "f4", ">f4", "f2", "u1", "i8", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_any_numbers_in_a_file(dtype, order, mapped):
    X, y, _ = some_rows()
    X = (40 * X + 100).astype(dtype, order=order)
    in_a_file = mapped(X)
    net = small(ERMClassifier).fit(X, y)
    for given in (in_a_file, np.asarray(in_a_file), in_a_file[:], in_a_file[np.newaxis][0]):
        assert is_lazy(as_lazy(given))
        assert same_weights(small(ERMClassifier).fit(given, y), net)
    assert np.array_equal(net.predict_proba(in_a_file[5:50:2]), net.predict_proba(X[5:50:2]))
    assert not is_lazy(as_lazy(in_a_file[[3, 4]]))  # numpy has copied those


SETTINGS = {
    "early stopping": dict(cls=GroupDROClassifier, early_stopping=True, validation_fraction=0.25),
    "a metric": dict(cls=ERMClassifier, early_stopping="demographic_parity_difference"),
    "drawn rows": dict(cls=JTTClassifier, how="sample"),
    "repeated rows": dict(cls=JTTClassifier, how="repeat"),
    "out of fold": dict(cls=DistillationClassifier, out_of_fold=2),
    "all rows at once": dict(cls=ERMClassifier, batch_size=-1),
    "in order": dict(cls=ERMClassifier, shuffle=False),
}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.usefixtures("stays")
def test_the_ways_to_choose_rows(name, mapped):
    X, y, s = some_rows(200)
    given = {"sensitive_features": s, "sample_weight": np.linspace(0.5, 1.5, 200)}
    make = functools.partial(small, **SETTINGS[name])
    nets = [make().fit(rows, y, **given).partial_fit(rows, y, **given) for rows in (X, mapped(X), Items(X))]
    assert all(same_weights(net, nets[0]) for net in nets)


def test_held_out_rows_are_not_read_when_they_are_chosen(mapped):
    X, y, s = some_rows()
    net = small(ERMClassifier, early_stopping=True)
    items = Items(X)
    train, valid = net._parts(net._check_fit(items, y, s, None, reset=True))
    assert items.asked == 1  # for the shape
    assert [is_lazy(part.X) for part in (train, valid)] == [True, True]
    assert len(train) + len(valid) == 120
    assert np.allclose(valid.take(torch.arange(3))[0].numpy(), X[valid.y["index"][:3]])


@pytest.mark.parametrize(("bad", "words"), [(np.nan, "X contains NaN"), (-np.inf, "X contains infinity")])
def test_a_bad_number_in_a_file_is_found_before_training(bad, words, mapped, monkeypatch):
    monkeypatch.setattr("skfair._lazy.CHUNK", 40)
    X, y, _ = some_rows()
    X[77, 2] = bad
    net = small(ERMClassifier)
    with pytest.raises(ValueError, match=words):
        net.fit(mapped(X), y)
    assert not hasattr(net, "module_")


def test_a_file_of_another_width(mapped):
    X, y, _ = some_rows()
    net = small(ERMClassifier).fit(mapped(X), y)
    for given in (mapped(X[:, :3]), Items(X[:, :3])):
        with pytest.raises(ValueError, match="X has 3 features, but ERMClassifier is expecting 4"):
            net.predict(given)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        small(ERMClassifier).fit(mapped(X), y[:-1])


def test_sensitive_columns(mapped):
    X, y, s = some_rows()
    X[:, 3] = s == "f"
    make = functools.partial(small, GroupDROClassifier)
    net = make(sensitive_columns=[3]).fit(X, y)
    for given in (mapped(X), Items(X)):
        assert same_weights(make(sensitive_columns=[3]).fit(given, y), net)
        with pytest.raises(ValueError, match="sensitive_columns='sex'.*column names"):
            make(sensitive_columns="sex").fit(given, y)
    assert same_weights(make(sensitive_columns=lambda items: items.X[:, 3]).fit(Items(X), y), net)


def test_no_net_keeps_the_rows(mapped):
    X, y, s = some_rows(5000)
    net = small(JTTClassifier, max_epochs=1).fit(mapped(X), y, sensitive_features=s)
    assert len(pickle.dumps(net)) < X.nbytes / 2


@pytest.mark.usefixtures("stays")
def test_a_checkpoint_knows_the_rows(mapped, tmp_path):
    X, y, _ = some_rows()
    X = X.astype(np.float32)

    class Crash(Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 2:
                raise RuntimeError("crash")

    with pytest.raises(RuntimeError, match="crash"):
        small(ERMClassifier, checkpoint=tmp_path / "state", max_epochs=3, callbacks=[Crash()]).fit(X, y)
    net = small(ERMClassifier, checkpoint=tmp_path / "state", max_epochs=3)
    with pytest.raises(ValueError, match="other data"):
        net.fit(mapped(2 * X), y)
    assert same_weights(net.fit(mapped(X), y), small(ERMClassifier, max_epochs=3).fit(X, y))


# ---------------------------------------------------------------------- Datasets
@pytest.mark.parametrize(
    "items",
    [
        lambda X: TensorDataset(torch.from_numpy(X)),
        lambda X: Subset(Items(X), range(len(X))),
        lambda X: Items([torch.from_numpy(row) for row in X]),
        lambda X: Items(np.require(X, requirements="O")),
    ],
)
def test_kinds_of_datasets(items):
    X, y, _ = some_rows()
    X.flags.writeable = False
    assert same_weights(small(ERMClassifier).fit(items(X.copy()), y), small(ERMClassifier).fit(X, y))


class Stream(IterableDataset):
    def __iter__(self):
        return iter(some_rows()[0])


class Endless(Dataset):
    def __getitem__(self, index):
        return np.zeros(4)


@pytest.mark.parametrize(
    ("X", "error", "words"),
    [
        (Stream(), TypeError, "Stream.*map-style"),
        (Endless(), TypeError, "Endless.*__len__"),
        (Items(np.empty((0, 4))), ValueError, r"0 sample\(s\)"),
        (Items(["a"] * 120), TypeError, "item 0 .*str.*tensor or an array"),
        (Items(np.zeros(120)), TypeError, "item 0 .*float64.*tensor or an array"),
        (Items(torch.zeros(120)), ValueError, "Expected 2D array"),
        (Items(np.zeros((120, 0))), ValueError, r"0 feature\(s\)"),
        (Items(np.zeros((120, 4), complex)), TypeError, "item 0 .*numbers"),
    ],
)
def test_datasets_that_are_refused(X, error, words):
    net = small(ERMClassifier)
    with pytest.raises(error, match=words):
        net.fit(X, some_rows()[1])
    assert not hasattr(net, "module_")


def test_bad_rows_of_a_dataset_are_named():
    X, y, _ = some_rows()
    net = small(ERMClassifier).fit(X, y)
    bad = X.copy()
    bad[77, 2] = np.nan
    for call in (lambda items: small(ERMClassifier).fit(items, y), net.predict):
        with pytest.raises(ValueError, match="row 77 of X contains NaN"):
            call(Items(bad))
        with pytest.raises(ValueError, match=r"row 77 of X has the shape \(3,\), but the first one has \(4,\)"):
            call(Items([row[:3] if k == 77 else row for k, row in enumerate(X)]))
    with pytest.raises(ValueError, match="row 77 of X contains NaN"):
        net.predict(Subset(Items(bad), [3, 77]).dataset)


def test_labels_are_given_beside_a_dataset():
    with pytest.raises(ValueError, match=r"(?s)requires y.*dataset\.targets"):
        small(ERMClassifier).fit(Items(some_rows()[0]))
    assert small(VAETransformer).fit(Items(some_rows()[0])).transform(Items(some_rows()[0])).shape == (120, 3)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_batches_loaded_by_other_processes(mapped):
    X, y, _ = some_rows()
    make = functools.partial(small, ERMClassifier, batch_size=40, max_epochs=1, module__dropout=0.0)
    loader = dict(iterator_train=DataLoader, iterator_train__num_workers=1, iterator_valid=DataLoader)
    in_order = make(shuffle=False).fit(X, y)
    for given in (mapped(X), Items(X)):
        net = make(**loader).fit(given, y)
        assert same_weights(net, in_order)
        assert np.array_equal(net.predict_proba(given), in_order.predict_proba(X))
    shuffled = [make(**{**loader, "iterator_train__shuffle": True}).fit(given, y) for given in (X, Items(X))]
    assert same_weights(*shuffled)
    X[77] = np.nan
    with pytest.raises(ValueError, match="row 77 of X contains NaN"):
        make(**loader).fit(Items(X), y)


# ---------------------------------------------------------------------- uint8
@pytest.mark.parametrize("where", ["memory", "file", "dataset"])
def test_uint8_stays_until_the_batch(where, mapped):
    X, y, s = images()
    given = {"memory": X, "file": mapped(X), "dataset": Items(torch.from_numpy(X))}[where]
    net = image_net(GroupDROClassifier)
    rows = net._check_fit(given, y, s, None, reset=True)
    kept = rows.X if where == "memory" else rows.X.source
    assert (kept if where != "dataset" else kept.X).dtype in (np.uint8, torch.uint8)
    part = rows.subset(torch.arange(20))
    for found in (next(iter(net.get_iterator(rows)))[0], rows[3][0], part.take(torch.arange(4))[0], part[0][0]):
        assert found.dtype == torch.float32
    assert torch.equal(rows[3][0], torch.from_numpy(X[3].astype(np.float32)))
    fitted = image_net(GroupDROClassifier).fit(given, y, sensitive_features=s)
    assert same_weights(fitted, image_net(GroupDROClassifier).fit(X.astype(float), y, sensitive_features=s))


def test_a_sparse_uint8_matrix():
    X, y, _ = some_rows()
    X = (X > 0).astype(np.uint8)
    assert same_weights(small(ERMClassifier).fit(sp.csr_matrix(X), y), small(ERMClassifier).fit(X, y))


def test_an_estimator_of_another_library_is_given_float32(mapped):
    X, y, s = some_rows()
    X = (40 * X + 100).astype(np.uint8)
    seen = []

    def look(X):
        seen.append(X.dtype)
        return X / 255

    nets = [
        small(DVGEClassifier, encoder=FunctionTransformer(look), max_epochs=1).fit(given, y, sensitive_features=s)
        for given in (X.astype(np.float32), X, mapped(X))
    ]
    assert set(seen) == {np.dtype(np.float32)}
    assert all(same_weights(net, nets[0]) for net in nets)


# ---------------------------------------------------------------------- what takes arrays alone
def test_stages_of_other_libraries_refuse_a_dataset():
    X, y, s = some_rows()
    teacher = LogisticRegression().fit(X, y)
    for net, kind in (
        (small(DistillationClassifier, teacher=LogisticRegression()), "LogisticRegression"),
        (small(DistillationClassifier, teacher=FrozenEstimator(teacher)), "LogisticRegression"),
        (small(DVGEClassifier, encoder=make_pipeline(StandardScaler())), "Pipeline"),
    ):
        with pytest.raises(TypeError, match=f"{type(net).__name__} hands its rows to {kind}.*Dataset.*Items"):
            net.fit(Items(X), y, sensitive_features=s)
        assert not hasattr(net, "module_")


def test_a_method_that_needs_an_array(mapped):
    seen = []

    class Whole(ERMClassifier):
        needs_array = True

        def prepare(self, X, y, *, sensitive_features, sample_weight):
            seen.append((type(X), X.dtype))
            return sample_weight

    X, y, _ = some_rows()
    X = (40 * X + 100).astype(np.uint8)
    nets = [small(Whole).fit(given, y) for given in (X, mapped(X))]
    assert seen == [(np.ndarray, np.float32)] * 2
    assert same_weights(*nets)
    for call in (small(Whole).fit, nets[0].score):
        with pytest.raises(TypeError, match=r"Whole computes with all rows.*Dataset \(Items\)"):
            call(Items(X), y)


def test_samplers_and_generators_refuse_a_dataset():
    X, y, s = some_rows()
    for call in (
        lambda: PCAGenerator().fit(Items(X)),
        lambda: PCAGenerator().fit(X).encode(Items(X)),
        lambda: LatentDebiasingSampler().fit_resample(Items(X), y, sensitive_features=s),
        lambda: Resampled().fit(Items(X), y, sensitive_features=s),
    ):
        with pytest.raises(TypeError, match=r"needs all rows as one array.*Dataset \(Items\)"):
            call()


def test_a_generator_that_is_a_net_takes_all(mapped):
    X, _, _ = some_rows(40)
    made = [GANGenerator(n_components=2, max_epochs=1, random_state=0).fit(one) for one in (X, mapped(X), Items(X))]
    Z = made[0].sample(3, random_state=0)
    assert all(np.array_equal(gan.decode(Z), made[0].decode(Z)) for gan in made)


# ---------------------------------------------------------------------- what is found in all rows
def random_tables(n_tables=60):
    rng = np.random.default_rng(0)
    for _ in range(n_tables):
        n, parts = int(rng.integers(1, 12)), []
        for _ in range(rng.integers(1, 6)):
            k = int(rng.integers(1, 4))
            kind = rng.integers(4)
            one_hot = np.eye(k)[rng.integers(k, size=n)]
            parts.append([one_hot, rng.integers(0, 2, (n, k)), rng.normal(size=(n, 1)), 0.5 * one_hot][kind])
        yield np.column_stack(parts).astype(np.float32)


def test_blocks_and_numbers_are_those_in_memory(mapped, monkeypatch):
    monkeypatch.setattr("skfair._lazy.CHUNK", 20)
    for X in random_tables():
        rows, candidates = as_lazy(Items(X)), np.random.default_rng(1).random(X.shape[1]) < 0.8
        assert one_hot_blocks(rows) == one_hot_blocks(X)
        assert one_hot_blocks(rows, candidates) == one_hot_blocks(X, candidates)
        assert numeric_columns(rows) == numeric_columns(X)
        for axis in (0, None):
            assert np.array_equal(rows.min(axis), X.min(axis))
            assert np.array_equal(rows.max(axis), X.max(axis))


def test_lazy_rows_are_taken_like_those_of_an_array(mapped, monkeypatch):
    monkeypatch.setattr("skfair._lazy.CHUNK", 40)
    X = some_rows()[0].astype(np.float32)
    for rows in (as_lazy(mapped(X)), as_lazy(Items(X))):
        for index in (slice(3, 90, 7), np.array([5, 5, 2]), X[:, 0] > 0):
            assert np.array_equal(rows[index].toarray(), X[index])
            assert rows[index].shape == X[index].shape
            assert np.array_equal(rows[index][1:].toarray(), X[index][1:])
        assert np.array_equal(np.concatenate(list(rows.chunks())), X)
        given = rows[np.array([5, 2])].given()
        assert np.array_equal([item[0] for item in given] if isinstance(given, Dataset) else given, X[[5, 2]])


def test_token_ids_in_a_file(mapped):
    ids = np.random.default_rng(0).integers(0, 30, (40, 6))
    y = np.arange(40) % 2
    make = functools.partial(
        small, ERMClassifier, module=TextTransformer, module__vocabulary_size=30, module__d_model=8, module__n_heads=2,
        module__n_layers=2, max_epochs=1, module__max_length=6,
    )  # fmt: skip
    assert same_weights(make().fit(ids, y), make().fit(mapped(ids), y))
    ids[33, 2] = 30
    with pytest.raises(ValueError, match="token ids, whole numbers from 0 to 29, but X holds 30"):
        make().fit(Items(ids), y)


# ---------------------------------------------------------------------- searches
def search(kind, net, **parameters):
    grid = {"weight_decay": [0.0, 0.1]}
    return kind(net, grid, cv=2, scoring="accuracy", **parameters)


@pytest.mark.parametrize("cls", [ERMClassifier, GroupDROClassifier])
def test_a_search_over_a_dataset(cls):
    X, y, s = some_rows()
    found = [
        search(FrontierSearchCV, small(cls, max_epochs=1)).fit(given, y, sensitive_features=s)
        for given in (X, Items(X))
    ]
    assert np.array_equal(*(one.cv_results_["mean_test_score"] for one in found))
    assert same_weights(*(one.best_estimator_ for one in found))
    assert np.array_equal(found[1].predict(Items(X)), found[0].predict(X))


@pytest.mark.parametrize("kind", [GridSearchCV, FrontierSearchCV])
def test_searches_and_pipelines_over_a_file(kind, mapped):
    X, y, _ = some_rows()
    pipe = make_pipeline(StandardScaler(), small(ERMClassifier, max_epochs=1))
    grid = {"ermclassifier__weight_decay": [0.0, 0.1]}
    found = [kind(pipe, grid, cv=2).fit(given, y).predict_proba(given) for given in (X, mapped(X))]
    assert np.array_equal(*found)


def test_a_search_of_scikit_learn_over_a_dataset():
    X, y, _ = some_rows()
    with pytest.raises(TypeError, match="FrontierSearchCV"):
        search(GridSearchCV, small(ERMClassifier), error_score="raise").fit(Items(X), y)


# ---------------------------------------------------------------------- memory
SCRIPT = """
import sys, threading
import numpy as np
from skfair.robust import ERMClassifier

shape = (75_000, 1_000)
X = np.memmap(sys.argv[1], np.float32, "w+", shape=shape)
X[::500] = np.random.default_rng(0).random(1_000)
X = np.memmap(sys.argv[1], np.float32, "r", shape=shape)
y = np.arange(len(X)) % 2
if sys.argv[2] == "in memory":
    X = np.array(X)

def size():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon")) / 2**10

def train(rows):
    net = ERMClassifier(max_epochs=1, batch_size=256, module__hidden=(16,), random_state=0, device="cpu")
    net.fit(X[:rows], y[:rows]).predict(X[:rows])

def watch():
    while not done.wait(0.01):
        sizes.append(size())

before = size()
train(5_000)
sizes, done = [size()], threading.Event()
thread = threading.Thread(target=watch)
thread.start()
train(len(X))
done.set()
thread.join()
print(before, max(sizes) - sizes[0])
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_of_a_training(tmp_path):
    """300 MB: in memory the process holds them; of a file, less than a third of them. Pages of the file do not count."""
    sizes = {}
    for kind in ("in a file", "in memory"):
        run = subprocess.run([sys.executable, "-c", SCRIPT, tmp_path / "X", kind], capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        sizes[kind] = [float(number) for number in run.stdout.split()]
    assert sizes["in memory"][0] - sizes["in a file"][0] > 250
    assert sizes["in a file"][1] < 100
