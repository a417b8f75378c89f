"""A trigger in front of a frozen network: how both are made; what the trigger is trained for stands elsewhere."""

import numpy as np
import torch

from skfair.base import (
    BaseClassifier,
    BaseNet,
    BaseTwoPlayerNet,
    Frozen,
    check_choice,
    check_number,
    has_gradients,
    inner_estimator,
    is_fitted,
    one_hot_blocks,
    takes,
    unwrapped,
)
from skfair.modules import (
    AdditiveTrigger,
    BorderTrigger,
    DebiasedAttention,
    MaskPatchTrigger,
    PatchTrigger,
    Reprogrammed,
    TokenTrigger,
    Transformer,
    WordTrigger,
)
from skfair.reprogramming._trigger import TriggerOwner
from skfair.robust import ERMClassifier

__all__ = ["BaseReprogrammed"]

TRIGGERS = {
    "mask_patch": MaskPatchTrigger, "additive": AdditiveTrigger, "append": TokenTrigger,
    "patch": PatchTrigger, "border": BorderTrigger, "words": WordTrigger,
}  # fmt: skip
FOR = {
    "table": ["mask_patch", "additive", "append"],
    "image": ["patch", "border"],
    "text": ["words"],
}  # the first: "auto"


class BaseReprogrammed(TriggerOwner, BaseTwoPlayerNet, BaseClassifier):
    """The frozen network, the rows the trigger is tuned on, the trigger as a thing of its own."""

    input_stages = ("estimator", "base_", "tuning_rows_", "pending_rows_")
    keeps_fitted = ("estimator",)
    _prefixes = (*BaseTwoPlayerNet._prefixes, "trigger")
    _own_prefixes = ("trigger",)

    def __init__(
        self, estimator=None, *, trigger="auto", mutable_columns=None, allow_off_manifold=False, gradient="auto",
        n_directions=8, perturbation=0.1, tuning_fraction=0.2, base_epochs=20, base_lr=1e-3, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        self.estimator = estimator
        self.trigger = trigger
        self.mutable_columns = mutable_columns
        self.allow_off_manifold = allow_off_manifold
        self.gradient = gradient
        self.n_directions = n_directions
        self.perturbation = perturbation
        self.tuning_fraction = tuning_fraction
        self.base_epochs = base_epochs
        self.base_lr = base_lr

    def check_parameters(self):
        check_choice("gradient", self.gradient, {"auto", "exact", "spsa"})
        if isinstance(self.trigger, str):
            check_choice("trigger", self.trigger, {"auto", *TRIGGERS})
        elif not callable(self.trigger):
            raise ValueError(
                f"trigger must be one of {sorted(TRIGGERS)} or a torch module class, got {self.trigger!r}."
            )
        check_number("n_directions", self.n_directions, low=1, integer=True)
        check_number("perturbation", self.perturbation, low=0, closed=False)
        check_number("tuning_fraction", self.tuning_fraction, low=0, high=1, closed=False)
        check_number("base_epochs", self.base_epochs, low=1, integer=True)
        check_number("base_lr", self.base_lr, low=0, closed=False)
        if hasattr(self.estimator, "steps"):
            raise ValueError(
                "estimator is a Pipeline, but a trigger acts on what the network sees. Give the network alone, behind the "
                "same preprocessing: make_pipeline(FrozenEstimator(pipeline[:-1]), ReprogrammedClassifier(pipeline[-1]))."
            )

    # ------------------------------------------------------------------ the frozen network
    def known_classes(self):
        return getattr(self.estimator, "classes_", None) if is_fitted(self.estimator) else None

    def fit_text_encoder(self, texts):
        base = inner_estimator(self.estimator)
        if hasattr(base, "text_encoder_"):
            return base.text_encoder_
        return base.fit_text_encoder(texts) if isinstance(base, BaseNet) else super().fit_text_encoder(texts)

    def prepare(self, X, y, *, sensitive_features, sample_weight):
        self.tuning_rows_ = self.pending_rows_ = None
        if is_fitted(self.estimator):
            vars(self)["base_"] = self.estimator  # past skorch, which would count a torch module among its own
        else:
            group = self.sensitive_encoder_.transform(sensitive_features)[1]
            self.base_ = self._fitted_base(X, y, group, sensitive_features, sample_weight)
            if self.reads_text_ and isinstance(self.base_, BaseNet):  # so that it can be asked by itself
                vars(self.base_).update(text_encoder_=self.text_encoder_, reads_text_=True)
        self.frozen_ = (Frozen(self.base_, self.device_),)  # in a tuple, which stacks compare by value
        smooth = self.frozen_[0].differentiable
        if self.gradient == "exact" and not smooth:
            raise ValueError(f"gradient='exact' needs a network, got {self.base_!r}: set gradient='spsa'.")
        self.zeroth_order_ = self.gradient == "spsa" or not smooth
        seen = self.inputs(X, training=False)
        seen = seen.tocsc() if hasattr(seen, "tocsc") else seen
        blocks = one_hot_blocks(seen) if seen.ndim == 2 and seen.shape[1] <= 10_000 and not self.reads_text_ else []
        self.blocks_ = tuple(map(tuple, blocks))
        self._check_base(X)
        return sample_weight

    def restore(self):
        self.frozen_ = (Frozen(self.base_, self.device_),)

    def _fitted_base(self, X, y, group, sensitive_features, sample_weight):
        """The base, trained on all rows but those that the trigger is tuned on."""
        strata = np.unique(y, return_inverse=True)[1] * (group.max() + 1) + group
        rest, self.tuning_rows_ = self.split(strata, self.tuning_fraction, "tuning")
        if not len(self.tuning_rows_):
            raise ValueError(f"no cell of label and group has two of the {len(y)} rows: tuning_fraction leaves none.")
        self.pending_rows_ = torch.from_numpy(self.tuning_rows_)
        weight = None if sample_weight is None else np.asarray(sample_weight)[rest]
        if self.estimator is None:
            base = self.stage(ERMClassifier, lr=self.base_lr)
            return self.train_stage(base, X[rest], y[rest], self.base_epochs, sample_weight=weight)
        given = dict(sensitive_features=sensitive_features.iloc[rest], sample_weight=weight)
        return self.fit_stage("base", self.estimator, X[rest], y[rest], **given)

    def _check_base(self, X):
        seen = getattr(self.base_, "n_features_in_", X.shape[1])
        if seen != X.shape[1]:
            raise ValueError(f"X has {X.shape[1]} features, but {type(self.base_).__name__} was fitted on {seen}.")
        names, own = (getattr(net, "feature_names_in_", None) for net in (self.base_, self))
        if names is not None and own is not None and not np.array_equal(names, own):
            raise ValueError(
                f"X has the columns {list(own)}, but {type(self.base_).__name__} was fitted on {list(names)}."
            )
        with torch.no_grad():
            width = self.frozen_[0].network(self._first_rows(X)).shape[1]
        if width != self.n_classes_:
            raise ValueError(f"the frozen network tells {width} classes, but y has {self.classes_.tolist()}.")

    def _first_rows(self, X):
        first = self.inputs(X[:1], training=False)
        first = first.toarray() if hasattr(first, "toarray") else first
        return torch.tensor(np.asarray(first, dtype=np.float32), device=self.device_)

    def inputs(self, X, *, training):
        return self.base_.inputs(X, training=False) if isinstance(self.base_, BaseNet) else X

    def _hold_out(self, data):
        return super()._hold_out(self._repeated(data))  # rows that the base has not seen

    def epoch_rows(self, rows):
        tuning, self.pending_rows_ = self.pending_rows_, None  # later calls of partial_fit bring rows of their own
        return None if tuning is None else torch.isin(rows.y["index"], tuning.to(rows.device)).nonzero().flatten()

    # ------------------------------------------------------------------ the trigger
    def make_module(self):
        trigger, arguments = self.trigger, self.module_arguments()
        if isinstance(trigger, str):
            trigger = TRIGGERS[self._trigger_name()]
        mutable, blocks = self._mutable(), self.blocks_
        options = dict(mutable=mutable, blocks=blocks, allow_off_manifold=self.allow_off_manifold)
        if self.reads_text_:
            options["vocabulary_size"] = self.text_encoder_.tokenizer_.get_vocab_size()
        if takes(trigger, "embed"):
            options["embed"] = self._embedding(self.frozen_[0].network)
        return Reprogrammed(self.build("trigger", trigger, **{**arguments, **options}), self.frozen_[0].network)

    def _trigger_name(self):
        embed = getattr(getattr(unwrapped(self.frozen_[0].network), "encoder", None), "embed", None)
        words = self.reads_text_ or hasattr(embed, "words")  # rows of token ids are texts as well
        kind = "text" if words else "table" if len(self.input_shape_) == 1 else "image"
        name = FOR[kind][0] if self.trigger == "auto" else self.trigger
        square = kind != "image" or (len(self.input_shape_) == 3 and self.input_shape_[1] == self.input_shape_[2])
        if name not in FOR[kind] or not square:
            raise ValueError(
                f"trigger={name!r} does not fit rows of shape {self.input_shape_} ({kind}): 'mask_patch', 'additive' and "
                "'append' are for tables, 'patch' and 'border' for square images (n, C, S, S), 'words' is for texts."
            )
        return name

    def _embedding(self, network):
        """The part of a frozen transformer that makes tokens of its input."""
        outer, network = getattr(network, "module", network), unwrapped(network)
        if isinstance(outer, Reprogrammed):
            raise ValueError(
                "a trigger among tokens needs a network without a trigger, but the frozen one has one already."
            )
        if not isinstance(network, Transformer):
            raise ValueError(
                f"trigger={self.trigger!r} stands among the tokens of a transformer of skfair.modules, but the frozen "
                f"network is {type(network).__name__}."
            )
        if self.trigger == "append" and isinstance(network.attention, DebiasedAttention):
            raise ValueError("trigger='append' makes rows longer, but debiased attention has statistics per position.")
        return network.encoder.embed

    def _mutable(self):
        """Positions of the columns that may change; None: all."""
        if self.mutable_columns is None:
            return None
        if isinstance(self.mutable_columns, str):
            raise ValueError(f"mutable_columns must be a list of columns, got {self.mutable_columns!r}.")
        if np.asarray(self.mutable_columns).dtype == bool:
            return np.flatnonzero(self.mutable_columns)
        names = list(getattr(self, "feature_names_in_", []))
        lacking = [c for c in self.mutable_columns if isinstance(c, str) and c not in names]
        if lacking:
            raise ValueError(f"mutable_columns has {lacking}, which X lacks; its columns are {names}.")
        return [names.index(c) if isinstance(c, str) else c for c in self.mutable_columns]

    def unstackable(self):
        smooth = (self.estimator is None or has_gradients(self.estimator)) and self.gradient != "spsa"
        if not smooth:
            return "triggers in front of a black box are tuned one by one"
        base = inner_estimator(self.estimator)
        kind = getattr(base, "module_", base.module_class() if isinstance(base, BaseNet) else base)
        parts = kind.modules() if isinstance(kind, torch.nn.Module) else [getattr(kind, "func", kind)]
        alone = [part for part in parts if not getattr(part, "stacks", True)]
        name = getattr(alone[0], "__name__", type(alone[0]).__name__) if alone else ""
        return f"{name} is not run by torch.vmap" if alone else None
