import numpy as np
import torch

from skfair.base import (
    BaseClassifier,
    BaseNet,
    BaseTransformer,
    check_choice,
    check_is_fitted,
    check_number,
    evaluation_mode,
    two_logits,
)
from skfair.functional import clamp_perturbation, gradient_explanation, weighted_mean
from skfair.representation._factor_vae import FactorVAETransformer
from skfair.robust import ERMClassifier

__all__ = ["DVGEClassifier", "DVGETransformer"]


class BaseDVGE(BaseNet):
    """What the classifier and the transformer share: an encoder, a sensitive classifier d and a task head g.

    ``inputs`` turns rows into codes, so that the network that is trained here is g alone.
    """

    min_groups = 2
    min_classes = 2
    input_stages = ("encoder_",)

    def __init__(
        self, *, encoder=None, eta_sensitive=0.5, eta_task=0.0, clip=0.1, explain="ce", latent="mean",
        sensitive_epochs=20, sensitive_lr=1e-3, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        self.encoder = encoder
        self.eta_sensitive = eta_sensitive
        self.eta_task = eta_task
        self.clip = clip
        self.explain = explain
        self.latent = latent
        self.sensitive_epochs = sensitive_epochs
        self.sensitive_lr = sensitive_lr

    def check_parameters(self):
        check_number("eta_sensitive", self.eta_sensitive, low=0)
        check_number("eta_task", self.eta_task, low=0)
        check_number("clip", 0 if self.clip is None else self.clip, low=0)
        check_choice("explain", self.explain, {"ce", "neg_logit", "logit"})
        check_choice("latent", self.latent, {"mean", "sample"})
        check_number("sensitive_epochs", self.sensitive_epochs, low=1, integer=True)
        check_number("sensitive_lr", self.sensitive_lr, low=0, closed=False)
        if isinstance(self.encoder, type) or not (self.encoder is None or hasattr(self.encoder, "transform")):
            raise ValueError(f"encoder must be a transformer, not a class, got {self.encoder!r}.")
        if self.latent == "sample" and not hasattr(self.encoder or FactorVAETransformer, "sample"):
            raise ValueError(f"latent='sample' needs an encoder with a posterior, got {type(self.encoder).__name__}.")

    # ------------------------------------------------------------------ the stages before the head
    def prepare(self, X, y, *, sensitive_features, sample_weight):
        encoder = FactorVAETransformer(device=self.device) if self.encoder is None else self.encoder
        metadata = dict(sensitive_features=sensitive_features, sample_weight=sample_weight)
        self.encoder_ = self.fit_stage("encoder", encoder, X, y, **metadata)
        group = self.sensitive_encoder_.transform(sensitive_features)[1]
        self.sensitive_net_ = self.stage(ERMClassifier, lr=self.sensitive_lr, max_epochs=self.sensitive_epochs)
        self.sensitive_net_.fit(self.inputs(X, training=True), group, sample_weight=sample_weight)
        return sample_weight

    def inputs(self, X, *, training):
        if training and self.latent == "sample":
            return self.transform_stage(self.encoder_, X, "sample", random_state=self.streams_.seed_of("latent"))
        return self.transform_stage(self.encoder_, X)

    # ------------------------------------------------------------------ the head
    def infer(self, x, **kwargs):
        """The codes themselves in training; logits otherwise."""
        return x if self.module_.training else two_logits(self.module_(x))

    def objective(self, output, batch):
        logits = two_logits(self.module_(self.perturbed(output))) if self.module_.training else output
        return weighted_mean(self.criterion_(logits, batch.y), batch.weight)

    def perturbed(self, z):
        """z' = z + clip(eta_1 F_sens - eta_2 F_task), without gradient."""
        d, g = self.sensitive_net_.module_, self.module_
        with evaluation_mode(d), evaluation_mode(g):
            sensitive = gradient_explanation(lambda z: two_logits(d(z)), z, self.explain)  # F_sens
            task = gradient_explanation(lambda z: two_logits(g(z)), z, self.explain)  # F_task
        return z + clamp_perturbation(self.eta_sensitive * sensitive - self.eta_task * task, z, self.clip)

    def perturb(self, Z):
        """Codes as the head is given them in training, with the classifiers as they are now.

        Parameters
        ----------
        Z : array-like of shape (n, D)

        Returns
        -------
        array of shape (n, D), float64
        """
        check_is_fitted(self)
        Z = torch.as_tensor(np.array(Z, dtype=np.float32), device=self.device_)
        return self.perturbed(Z).cpu().double().numpy()


class DVGEClassifier(BaseDVGE, BaseClassifier):
    r"""DVGE: a classifier on latent codes, trained on codes whose sensitive information is perturbed.

    Three stages. An encoder f, by default a :class:`FactorVAETransformer`, is trained without labels and groups. A sensitive
    classifier d reads the group from the codes :math:`z = f(x)`. The task head g is trained on codes that are moved along
    what d reads and against what g itself reads:

    .. math::
        z' = z + \operatorname{clip}_{\pm \epsilon}\big( \eta_1 F_{sens} - \eta_2 F_{task} \big), \qquad
        F_{sens} = \nabla_z L\big(d(z), \operatorname{argmax} d(z)\big), \quad
        F_{task} = \nabla_z L\big(g(z), \operatorname{argmax} g(z)\big), \qquad \epsilon_j = \mathrm{clip} \cdot |z_j|

    by minimising :math:`\mathrm{CE}(g(z'), y)`. Predictions are :math:`g(f(x))`: nothing is perturbed there, and neither d
    nor the group is needed.

    ==============  ======  =========  ==========
    needs groups    at fit  to select  at predict
    ==============  ======  =========  ==========
    DVGEClassifier  yes     no         no
    ==============  ======  =========  ==========

    Parameters
    ----------
    encoder : transformer, optional
        Any transformer of skfair or scikit-learn; it is cloned. Wrapped in :class:`sklearn.frozen.FrozenEstimator` a fitted
        one is used as it is: it serves any labels and any sensitive features, also inside searches.
    eta_sensitive : float, default=0.5
        :math:`\eta_1 \ge 0`. 0 with ``eta_task=0`` is a plain classifier on the codes, to the last bit.
    eta_task : float, default=0.0
        :math:`\eta_2 \ge 0`.
    clip : float or None, default=0.1
        Largest relative change of an entry of the code; None does not clip, as the released code.
    explain : {"ce", "neg_logit", "logit"}, default="ce"
        L: the cross entropy, minus the logit of the predicted class, or plus that logit (the released code). See Notes.
    latent : {"mean", "sample"}, default="mean"
        Whether d and g are trained on means or on one sample of the posteriors. Predictions are made from means.
    sensitive_epochs : int, default=20
    sensitive_lr : float, default=1e-3
        Of d, which has the same module as g.
    **kwargs
        The other parameters of :class:`skfair.base.BaseNet`; ``module`` is that of d and g; ``lr`` and
        ``max_epochs`` are g's.

    Attributes
    ----------
    encoder_ : transformer
    sensitive_net_ : ERMClassifier
        d; not used in ``predict``.
    classes_, groups_, module_, history
        As in the other estimators.

    Raises
    ------
    ValueError
        If a parameter is out of its range, sensitive features are missing or constant, or y holds one class only.

    Notes
    -----
    Several sensitive features are taken jointly: d tells their intersections apart.

    The paper's settings: ``module__hidden=(1000,) * 5, module__dropout=0.0`` with LeakyReLU(0.2), for d and g
    ``lr=sensitive_lr=1e-5, optimizer__betas=(0.5, 0.9)``, 120 and 100 epochs; :math:`\eta_1, \eta_2` from 0.1 to 2.

    NOTE[DIFF] The paper's text says gradient of a loss, its formula gradient of d, its code gradient of the logit; its text
    clips, its code does not. All are here; ``docs/latent_codes.md`` says what each does.
    NOTE[DIFF] The means are encoded, not samples; the paper does not say, the code saves one sample, also of test rows.

    References
    ----------
    Zhang et al., "Model debiasing via gradient-based explanation on representation", AIES 2023.

    Examples
    --------
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.representation import DVGEClassifier, VAETransformer
    >>> data = make_biased_classification(500, random_state=0)
    >>> encoder = VAETransformer(n_components=4, max_epochs=5)
    >>> net = DVGEClassifier(encoder=encoder, max_epochs=5, random_state=0)
    >>> net = net.fit(data.data, data.target, sensitive_features=data.sensitive_features)
    >>> net.predict_proba(data.data).shape
    (500, 2)

    The same encoder, with other labels:

    >>> from sklearn.frozen import FrozenEstimator
    >>> other = DVGEClassifier(encoder=FrozenEstimator(net.encoder_), max_epochs=5, random_state=0)
    >>> other = other.fit(data.data, 1 - data.target, sensitive_features=data.sensitive_features)
    >>> other.encoder_.estimator is net.encoder_
    True
    """

    stacks_over = ("eta_sensitive", "eta_task")


class DVGETransformer(BaseDVGE, BaseTransformer):
    r"""Latent codes for any classifier: perturbed by DVGE to train it, clean to predict.

    **Beware:** ``fit_transform(X, y)`` is not ``fit(X, y).transform(X)``, as with scikit-learn's ``TargetEncoder``.
    ``fit_transform`` returns the perturbed codes :math:`z'` of :class:`DVGEClassifier`, on which the next step of a pipeline
    is trained; ``transform`` returns the clean codes :math:`z`, from which it predicts. To have perturbed codes, call
    ``fit_transform``, or ``perturb`` with clean codes.

    ===============  ======  =========  ==========
    needs groups     at fit  to select  at predict
    ===============  ======  =========  ==========
    DVGETransformer  yes     no         no
    ===============  ======  =========  ==========

    Parameters
    ----------
    encoder, eta_sensitive, eta_task, clip, explain, latent, sensitive_epochs, sensitive_lr
        As in :class:`DVGEClassifier`. The task head g, which is trained too, serves for :math:`F_{task}` alone.
    **kwargs
        The other parameters of :class:`skfair.base.BaseNet`.

    Attributes
    ----------
    encoder_, sensitive_net_, classes_, groups_, module_, history
        As in :class:`DVGEClassifier`.

    Raises
    ------
    ValueError
        As :class:`DVGEClassifier`.

    Notes
    -----
    NOTE[DIFF] :math:`F_{task}` is that of g at the end of its training, while the paper's moves with g.

    References
    ----------
    Zhang et al., "Model debiasing via gradient-based explanation on representation", AIES 2023.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skfair.datasets import make_biased_classification
    >>> from skfair.representation import DVGETransformer, VAETransformer
    >>> data = make_biased_classification(500, random_state=0)
    >>> codes = DVGETransformer(encoder=VAETransformer(n_components=4, max_epochs=5), max_epochs=5, random_state=0)
    >>> Z = codes.fit_transform(data.data, data.target, sensitive_features=data.sensitive_features)
    >>> classifier = LogisticRegression().fit(Z, data.target)
    >>> classifier.predict(codes.transform(data.data)).shape
    (500,)
    """

    out_features_ = DVGEClassifier.out_features_
    onnx_outputs = ()  # transform is the encoder's, not the network's

    def fit_transform(self, X, y=None, **fit_params):
        """Fit, and return the *perturbed* codes of these rows; ``transform`` returns clean ones.

        Parameters
        ----------
        X, y, **fit_params
            As in ``fit``: ``sensitive_features``, ``sample_weight``.

        Returns
        -------
        array of shape (n, D), float64
        """
        self.fit(X, y, **fit_params)
        return self.perturb(self.network_inputs(X, training=True))

    def transform(self, X):
        """The *clean* codes of X.

        Parameters
        ----------
        X : array-like of shape (n, ...)

        Returns
        -------
        array of shape (n, D), float64
        """
        return self.network_inputs(X)

    def inverse_transform(self, X):
        """Decode codes, by the encoder's own ``inverse_transform``.

        Parameters
        ----------
        X : array-like of shape (n, D)

        Returns
        -------
        array of shape (n, ...)
        """
        check_is_fitted(self)
        return self.encoder_.inverse_transform(X)

    @property
    def _n_features_out(self):
        return self.input_shape_[0]
