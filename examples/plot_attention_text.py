"""
Attention maps on text: words of negation
=========================================

In SNLI, whether a sentence contradicts another was written by people who reached for "nobody" and "not". A network may
learn the word instead of the meaning. Two small transformers, with ordinary and with debiased attention, read the second
sentence alone, and the maps say which of its words they mix in, by group (a word of negation or none) and label.

SNLI's test part where it is at hand (``SKFAIR_DATA``), otherwise made-up sentences of the same kind.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import sklearn
import torch
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split

from skfair.attention import DebiasedAttentionClassifier
from skfair.datasets import DatasetUnavailableError, fetch_snli
from skfair.inspection import AttentionMapDisplay, attention_entropy
from skfair.metrics import worst_group_accuracy
from skfair.modules import TextTransformer
from skfair.robust import ERMClassifier

sklearn.set_config(enable_metadata_routing=True)


def made_up(n=6000, seed=0):
    """Sentences whose second part tells the label with some noise, and half of whose contradictions hold a negation."""
    rng = np.random.default_rng(seed)
    y = rng.random(n) < 0.4
    negation = rng.random(n) < np.where(y, 0.4, 0.05)
    who, where = rng.choice(["man", "woman", "child", "dog"], n), rng.choice(["street", "park", "house", "water"], n)
    what = np.where(y ^ (rng.random(n) < 0.2), rng.choice(["sleeping", "flying"], n), rng.choice(["walking", "out"], n))
    texts = [f"{'nobody' if no else 'a ' + w} is {v} in the {p}" for no, w, v, p in zip(negation, who, what, where)]
    return pd.Series(texts), pd.Series(y.astype(int)), pd.Series(np.where(negation, "negation", "none"))


try:
    data, what = fetch_snli(subset="test", download_if_missing=False), "the test part of SNLI"
    texts, y = data.data["hypothesis"], (data.target == 0).astype(int)
    A = data.sensitive_features["negation"].map({True: "negation", False: "none"})
except DatasetUnavailableError:
    texts, y, A = made_up()
    what = "made-up sentences"
X, X_test, y, y_test, A, A_test = train_test_split(texts, y, A, test_size=0.4, stratify=A, random_state=0)
print(f"Data: {what}; {len(X)} rows to train on, {len(X_test)} to judge by.")
print(pd.crosstab(A, y.map({0: "not", 1: "contradiction"})).to_string())

# %%
# Two networks
# ------------
# The tokenizer is trained in ``fit``, on the training texts alone. Debiased attention is not told the groups.

net = dict(
    module=TextTransformer, module__d_model=32, module__n_layers=2, module__n_heads=4, module__max_length=24,
    module__vocabulary_size=1500, optimizer=torch.optim.AdamW, lr=1e-3, max_epochs=5, batch_size=64, device="cpu",
    random_state=0,
)  # fmt: skip
nets = {
    "ordinary": ERMClassifier(**net).fit(X, y),
    "debiased": DebiasedAttentionClassifier(selection=None, **net).fit(X, y),
}

found = {}
for name, fitted in nets.items():
    predicted = fitted.predict(X_test)
    negated = (A_test == "negation").to_numpy()
    found[name] = {
        "accuracy": accuracy_score(y_test, predicted),
        "accuracy in the worst cell": worst_group_accuracy(y_test, predicted, sensitive_features=A_test),
        "says contradiction: negation": predicted[negated].mean(),
        "... none": predicted[~negated].mean(),
        "entropy of the attention": attention_entropy(fitted, X_test).mean(),
    }
print(pd.DataFrame(found).round(3).to_string())

# %%
# Where they look
# ---------------
# The words with the largest attention of the classification token in each cell, in multiples of an even split. Of the
# sentences without a negation 150 are shown, so that a word that stands in three of them is no accident in either
# group.

few = np.flatnonzero(A_test == "none")[:150]
shown = np.sort(np.concatenate([few, np.flatnonzero(A_test == "negation")]))
for name, fitted in nets.items():
    display = AttentionMapDisplay.from_estimator(
        fitted, X_test.iloc[shown], y_test.iloc[shown], sensitive_features=A_test.iloc[shown], min_count=3, n_shown=8
    )
    display.figure_.suptitle(f"{name} attention", fontsize=11)
plt.show()

# %%
# Debiased attention is not told which word is a shortcut, and looks at words of negation more, not less: its absolute
# value gives weight to what is rare. Both nets call most sentences with such a word contradictions, and most of them
# are. The worst cell has a handful of rows, so that its accuracy is an anecdote. And a map is no explanation: it says
# whose values are mixed in, not what they do to the prediction.
