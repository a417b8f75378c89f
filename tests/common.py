"""What several test files share: estimators that are quick to train, and the toy data of the specification."""

import functools

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.preprocessing import FunctionTransformer

from skfair.base import BaseClassifier, BaseTransformer
from skfair.modules import VAE, DebiasedAttention, FTTransformer, Look
from skfair.representation import VAETransformer
from skfair.representation._latent import BaseVAE
from skfair.robust import ERMClassifier
from skfair.utils import all_estimators


class SomeGroups:
    """Two groups that depend on a row's values alone: above or below the mean of the first column."""

    def __call__(self, X):
        X = np.asarray(X.toarray() if hasattr(X, "toarray") else X, dtype=float)
        first = X.reshape(len(X), -1)[:, 0]
        groups = (first > first.mean()).astype(int)
        return np.where(groups.min() == groups.max(), np.arange(len(groups)) % 2, groups)

    def __repr__(self):  # stable: the names of scikit-learn's checks are made of it
        return "some_groups"


some_groups = SomeGroups()
GENTLE = {
    "RegularizedClassifier": {"strength": 0.1},
}  # at full strength it rightly gives up accuracy on those data

# small enough to be quick, enough steps to learn scikit-learn's easy check data
QUICK = dict(lr=0.02, max_epochs=30, batch_size=32, random_state=0)
# what random labels and tiny networks rightly call forth; not looked for in the generic tests
RIGHTLY_WARNED = [
    pytest.mark.filterwarnings(f"ignore:.*{words}")
    for words in (
        "nearly the same prob",
        "the second training is ERM",
        "soft labels are hard",
        "should be the smaller one",
    )
]
NARROW = dict(module=functools.partial(VAE, hidden=(16,)), max_epochs=5)
ENCODER = dict(n_components=3, **NARROW)
TOKENS = dict(module=functools.partial(FTTransformer, d_model=8, n_heads=2, n_layers=2, ffn_ratio=1))
SMALL = {  # networks of a few units, gentle settings
    "DebiasedAttentionClassifier": {**TOKENS, "beta": 0.1, "selection": None},
    "CVaRDROClassifier": dict(alpha=0.5),
    "ChiSquareDROClassifier": dict(alpha_min=0.5),
    "DistillationClassifier": dict(teacher_epochs=3),
    "JTTClassifier": dict(first_epochs=2, upweight=3, how="weight"),  # as many steps as the others take
    "ARLClassifier": dict(pretrain_steps=5),
    "ReprogrammedClassifier": dict(base_epochs=30, base_lr=0.02, strength=0.1, adversary_hidden=(8,)),
    "VAETransformer": ENCODER,
    **dict.fromkeys(("FactorVAETransformer", "FFVAETransformer"), {**ENCODER, "adversary_hidden": (8,)}),
    "FDVAETransformer": {**NARROW, "subspaces": (2, 1, 1), "adversary_hidden": (8,), "recode_epochs": 2},
    **dict.fromkeys(
        ("DVGEClassifier", "DVGETransformer"), {"encoder": VAETransformer(**ENCODER), "sensitive_epochs": 3}
    ),
}


def quick(cls, **parameters):
    """An instance that trains in a fraction of a second."""
    return cls(**{**QUICK, "sensitive_columns": some_groups, **SMALL.get(cls.__name__, {}), **parameters})


def all_nets(type_filter=None):
    """Those estimators that are a network with predictions or codes; samplers and generators have tests of their own."""
    return [
        (name, cls) for name, cls in all_estimators(type_filter) if issubclass(cls, BaseClassifier | BaseTransformer)
    ]


def all_quick(type_filter=None):
    return [quick(cls, **GENTLE.get(name, {})) for name, cls in all_nets(type_filter)]


def toy(n=3000, correlation=0.95, seed=0):
    """Data set D1: label y, group s agreeing with it, a noisy core feature, a clean spurious one, three of noise."""
    rng = np.random.default_rng(seed)
    y = rng.random(n) < 0.5
    s = np.where(rng.random(n) < correlation, y, ~y)
    core = (2 * y - 1) + 0.7 * rng.normal(size=n)
    spurious = (2 * s - 1) + 0.2 * rng.normal(size=n)
    X = np.column_stack([core, spurious, rng.normal(size=(n, 3))]).astype(np.float32)
    return X, y.astype(int), s.astype(int)


def weights_of(net):
    return [value.detach().cpu().numpy() for value in net.module_.state_dict().values()]


def same_weights(a, b):
    return all(np.array_equal(x, y) for x, y in zip(weights_of(a), weights_of(b), strict=True))


def small(cls, **parameters):
    """Two epochs, and no sensitive columns of its own: as a user writes it who passes sensitive_features to fit."""
    return quick(cls, **{"max_epochs": 2, "sensitive_columns": None, **parameters})


def a_few_fast(nets):
    """Nets as parameters of a test that says the same of all: those that share the most code with others run always."""
    fast = ("AdversarialClassifier", "ERMClassifier", "GroupDROClassifier", "JTTClassifier", "RegularizedClassifier")
    return [pytest.param(cls, id=name, marks=[pytest.mark.slow] * (name not in fast)) for name, cls in nets]


def rows(n=120, seed=0):
    """X (n, 4), labels that X decides but for noise, and groups "f" and "m" that the second column betrays."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    y = (X[:, 0] + 0.3 * rng.normal(size=n) > 0).astype(int)
    s = np.where(X[:, 1] + 0.5 * rng.normal(size=n) > 0, "f", "m")
    return X, y, s


def output(net, X):
    """What an estimator makes of X, as numbers."""
    return net.predict_proba(X) if hasattr(net, "predict_proba") else net.transform(X)


def network_output(net, X):
    """What its network makes of X: of ``DVGETransformer``, whose codes are those of an earlier stage, what g says."""
    return net.outputs(X).numpy()


# ---------------------------------------------------------------------- modules of a user's own
class Net(torch.nn.Module):
    """Knows its widths, has one hyper-parameter."""

    def __init__(self, width=5, outputs=2):
        super().__init__()
        self.encoder = torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.ReLU())
        self.head = torch.nn.Linear(width, outputs)

    def forward(self, x):
        return self.head(self.encoder(x))


class Autoencoder(Net):
    """The same for codes of four dimensions."""

    def __init__(self, width=5):
        super().__init__(width, outputs=8)
        self.back = torch.nn.Linear(4, 4)

    def forward(self, x):
        return super().forward(x).chunk(2, -1)

    def decode(self, z):
        return self.back(z)


class Conv(torch.nn.Module):
    """For images of 5 x 5 pixels."""

    def __init__(self, out_features, channels=3):
        super().__init__()
        self.encoder = torch.nn.Sequential(torch.nn.Conv2d(1, channels, 3), torch.nn.ReLU(), torch.nn.Flatten())
        self.head = torch.nn.Linear(channels * 9, out_features)

    def forward(self, x):
        return self.head(self.encoder(x))


class ConvAutoencoder(Conv):
    def __init__(self, n_components, channels=3):
        super().__init__(2 * n_components, channels)
        self.back = torch.nn.ConvTranspose2d(n_components, 1, 5)

    def forward(self, x):
        return super().forward(x).chunk(2, -1)

    def decode(self, z):
        return self.back(z[:, :, None, None])


class _Attends:
    """Three tokens of four numbers out of the representation, debiased attention among them."""

    def _attend(self):
        self.tokens = torch.nn.Linear(self.head.in_features, 12)
        self.attention = DebiasedAttention(4, n_positions=3, n_heads=2)
        self.head = torch.nn.Linear(4, self.head.out_features)

    def forward(self, x):
        return self.look(x).output

    def look(self, x):
        tokens, first = self.tokens(self.encoder(x)).unflatten(1, (3, 4)), slice(0, 1)
        heads = self.attention.heads(tokens)
        output = self.head((tokens[:, first] + self.attention.mix(heads, rows=first))[:, 0])
        weights = self.attention.weights(heads, rows=first)[:, :, 0].mean(1)
        return Look(output, weights, heads.value.transpose(1, 2).flatten(2), None)


class AttentiveNet(_Attends, Net):
    def __init__(self, width=5, outputs=2):
        super().__init__(width, outputs)
        self._attend()


class AttentiveConv(_Attends, Conv):
    def __init__(self, out_features, channels=3):
        super().__init__(out_features, channels)
        self._attend()


def attends(cls):
    """Whether an estimator's network is a transformer, or has at least its last layer."""
    return cls.__name__ == "DebiasedAttentionClassifier"


def net_for(cls):
    """The user's classifier of rows."""
    return AttentiveNet if attends(cls) else Net


def conv_for(cls):
    """The user's classifier of images."""
    return AttentiveConv if attends(cls) else Conv


def with_module(cls, classifier, autoencoder):
    """Parameters that give an estimator a module of the user: a classifier of rows or, to a VAE, an autoencoder.

    A VAE has four latent dimensions then; an estimator on codes sees the rows themselves.
    """
    if not issubclass(cls, BaseVAE):
        return {"module": classifier, **as_it_is(cls)}
    sizes = {"VAETransformer": 4, "FactorVAETransformer": 4, "FFVAETransformer": 3}  # one more for the group
    return {"module": autoencoder, **({"n_components": sizes[cls.__name__]} if cls.__name__ in sizes else {})}


def as_it_is(cls):
    """Parameters with which an estimator on codes sees the rows themselves."""
    return {"encoder": FunctionTransformer()} if cls.__name__.startswith("DVGE") else {}


def hidden(cls, *widths):
    """Parameters of a network with hidden layers of these widths, or with tokens of the first one."""
    return {"module__d_model": widths[0], "module__n_heads": 1} if attends(cls) else {"module__hidden": widths}


def grid_of_shapes(cls, *shapes):
    """The same as what a search tries."""
    return {"module__d_model": [widths[0] for widths in shapes]} if attends(cls) else {"module__hidden": list(shapes)}


class PreciseTransformer(FTTransformer):
    """In double precision. What the loss does not depend on, such as the keys' bias, Adam moves by rounding alone."""

    def __init__(self, in_features, out_features, dropout=0.0, debiased=False):
        super().__init__(in_features, out_features, (), 8, 2, 2, 1, dropout, debiased)
        self.double()

    def forward(self, x):
        return super().forward(x.double())

    def look(self, x):
        return super().look(x.double())

    def last_input(self, x):
        return super().last_input(x.double())


def plain(cls):
    """A small network without dropout, whose training rounding does not change."""
    if attends(cls):  # a stack holds its numbers in single precision: these are the same there
        return {"module": PreciseTransformer, "module__dropout": 0.0, "beta": 0.125, "temperature": 0.0625}
    return {"module__hidden": (8, 6), "module__dropout": 0.0}


def repeatable(cls):
    """Parameters with which a row that is given twice is one with a weight of 2, as far as there are such."""
    parameters = {"balanced": False} if "balanced" in cls().get_params() else {}
    if attends(cls):
        # statistics of a batch count rows, and divide by n - 1; to align, a row's copy is one more row of its label;
        # Adam moves by rounding alone what the loss does not depend on, the keys' bias
        parameters |= {"normalize": False, "align": False, "optimizer": torch.optim.SGD}
    return parameters


def without_dropout(cls):
    return {} if issubclass(cls, BaseVAE) else {"module__dropout": 0.0}  # autoencoders have none


def user_module(net):
    """The network that ``module`` describes: where a trigger is trained in front of one, that one."""
    return net.base_.module_ if hasattr(net, "base_") else net.module_


def n_inputs(net):
    """How many columns its network was made for."""
    module = user_module(net)
    return len(module.encoder.embed.weight) if attends(type(net)) else first_linear(net).in_features


def first_linear(net):
    return next(part for part in user_module(net).modules() if isinstance(part, torch.nn.Linear))


@functools.cache
def _base():
    X, y, _ = rows()
    return ERMClassifier(**{**QUICK, "max_epochs": 5}, module__hidden=(8, 6), module__dropout=0.0).fit(X, y)


def with_base(cls, X=None, y=None):
    """Parameters that give an estimator of frozen networks one that is fitted: all rows are then its own."""
    if cls.__name__ != "ReprogrammedClassifier":
        return {}
    return {"estimator": _base() if X is None else clone(_base()).fit(X, y)}
