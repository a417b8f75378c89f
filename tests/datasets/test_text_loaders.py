"""Loaders of texts: the stored files, and made-up ones in the official formats. No text is quoted here."""

import gzip
import hashlib
import json
import os
import string
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skfair.datasets import (
    ChecksumError,
    DatasetUnavailableError,
    _civil_comments,
    _hatexplain,
    _multinli,
    _snli,
    fetch_civil_comments,
    fetch_hatexplain,
    fetch_multinli,
    fetch_snli,
)
from skfair.datasets._nli import has_negation

LOCAL = {"download_if_missing": False}


def digest(content):
    return frozenset({hashlib.sha256(content).hexdigest()})


def put(home, name, content):
    path = home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def check_bunch(bunch, n_rows):
    index = pd.RangeIndex(n_rows)
    for part in (bunch.data, bunch.target, bunch.sensitive_features, bunch.split):
        assert part.index.equals(index)
    assert bunch.target.dtype == np.int64
    assert [line for line in bunch.DESCR.splitlines() if len(line) > 120] == []
    assert "Source" in bunch.DESCR
    assert "Licence" in bunch.DESCR


# ---------------------------------------------------------------------- HateXplain, stored files
def test_hatexplain_labels_and_parts(real):
    posts = fetch_hatexplain(**real)
    check_bunch(posts, 19229)
    assert posts.source == "prepared"
    assert posts.rationales is None
    assert posts.target_names == ["normal", "offensive", "hatespeech"]
    assert posts.target.value_counts().to_dict() == {0: 7814, 1: 5480, 2: 5935}
    assert posts.split.value_counts().to_dict() == {"train": 15383, "val": 1922, "test": 1924}
    assert posts.targets_source.value_counts().to_dict() == {"partial": 7888, "union": 7495, "annotators": 3846}
    assert posts.communities.shape == (19229, 24)
    assert {str(dtype) for dtype in posts.communities.dtypes} == {"bool"}
    assert all(isinstance(text, str) and text for text in posts.data)


def test_hatexplain_groups_of_the_test_part(real):
    posts = fetch_hatexplain(target="toxic", subset="test", **real)
    assert round(posts.target.mean(), 4) == 0.5936
    assert posts.target_names == ["normal", "toxic"]
    rates = {c: posts.target.groupby(posts.sensitive_features[c]).mean().round(4) for c in posts.sensitive_features}
    assert rates["gender"].to_dict() == {"Men": 0.625, "Women": 0.7821, "none": 0.5629, "several": 0.56}
    assert rates["race"][["none", "African", "Caucasian"]].tolist() == [0.4739, 0.8377, 0.5052]
    assert rates["religion"][["none", "Islam", "Jewish"]].tolist() == [0.5091, 0.812, 0.8786]
    strict = fetch_hatexplain(subset="test", communities="majority", **real)
    assert (strict.communities <= posts.communities).all(axis=None)
    assert strict.communities["Women"].sum() == 147


def test_hatexplain_kinds_agree_with_the_communities(real):
    posts = fetch_hatexplain(**real)
    women, men = posts.communities["Women"], posts.communities["Men"]
    gender = posts.sensitive_features["gender"]
    assert ((gender == "none") == ~(women | men)).all()
    assert ((gender == "several") == (women & men)).all()
    assert (women[gender == "Women"]).all()
    single = fetch_hatexplain(sensitive=["Women", "race"], **real)
    assert list(single.sensitive_features) == ["Women", "race"]
    assert (single.sensitive_features["Women"] == women).all()


def test_hatexplain_undecided(real):
    posts = fetch_hatexplain(keep_undecided=True, **real)
    undecided = posts.split == "none"
    assert undecided.sum() == 919
    assert (posts.target[undecided] == -1).all()
    assert (posts.target[~undecided] >= 0).all()
    assert (posts.annotator_labels[undecided].nunique(axis=1) == 3).all()
    toxic = fetch_hatexplain(target="toxic", keep_undecided=True, **real)
    votes = (posts.annotator_labels != "normal").sum(axis=1)
    assert (toxic.target == (votes >= 2)).all()  # two of three, for all rows
    assert len(fetch_hatexplain(subset="train", keep_undecided=True, **real).data) == 15383


def test_hatexplain_majority_is_known_for_two_parts_only(real):
    with pytest.raises(ValueError, match="communities must be 'any' for these rows, got 'majority': of 15383 of 15383"):
        fetch_hatexplain(communities="majority", subset="train", **real)


def test_hatexplain_return_forms(real):
    X, y = fetch_hatexplain(subset="val", return_X_y=True, **real)
    arrays = fetch_hatexplain(subset="val", as_frame=False, **real)
    assert isinstance(arrays.data, np.ndarray)
    assert arrays.data.ndim == 1
    assert (arrays.data == X.to_numpy()).all()
    assert (arrays.target == y.to_numpy()).all()
    assert arrays.sensitive_features.shape == (1922, 3)


# ---------------------------------------------------------------------- HateXplain, the official schema
def test_hatexplain_official_schema_gives_what_the_prepared_copy_gives(real, tmp_path, monkeypatch):
    """The stored dataset.json is that of val and test, with the original schema."""
    shared = tmp_path / "shared"
    real_folder = Path(os.environ["SKFAIR_DATA"])
    content = gzip.decompress((real_folder / "hatexplain" / "dataset_val_test.json.gz").read_bytes())
    put(shared, "hatexplain/dataset.json", content)
    for name in ("post_id_divisions.json.gz", "hatexplain.csv.gz"):
        put(shared, f"hatexplain/{name}", (real_folder / "hatexplain" / name).read_bytes())
    monkeypatch.setattr(_hatexplain, "_POSTS", replace(_hatexplain._POSTS, sha256=digest(content)))
    official = fetch_hatexplain(data_home=shared, **LOCAL)
    check_bunch(official, 3846)
    assert official.source == "official"  # preferred to the prepared copy next to it
    assert official.split.value_counts().to_dict() == {"test": 1924, "val": 1922}
    assert (official.targets_source == "annotators").all()
    for part in ("val", "test"):
        for communities in ("any", "majority"):
            prepared = fetch_hatexplain(subset=part, communities=communities, **LOCAL)
            official = fetch_hatexplain(subset=part, communities=communities, data_home=shared, **LOCAL)
            assert (prepared.source, official.source) == ("prepared", "official")
            new, old = (
                pd.concat(
                    [b.post_id, b.data, b.target, b.annotator_labels, b.communities, b.sensitive_features], axis=1
                )
                .set_index("post_id")
                .sort_index()
                for b in (official, prepared)
            )
            pd.testing.assert_frame_equal(new, old)


def post(number, labels, targets, tokens=("made", "up")):
    annotators = [
        {"label": label, "annotator_id": i, "target": target} for i, (label, target) in enumerate(zip(labels, targets))
    ]
    rationales = [] if labels.count("normal") > 1 else [[1, 0], [0, 1]]
    post_id = f"{number}_gab"
    return post_id, {
        "post_id": post_id,
        "annotators": annotators,
        "rationales": rationales,
        "post_tokens": list(tokens),
    }


@pytest.fixture
def posts(isolated, monkeypatch):
    """A tiny dataset.json and its divisions; gives a function that stores another one."""

    def store(dataset, divisions):
        for name, attribute, value in (("dataset", "_POSTS", dataset), ("post_id_divisions", "_DIVISIONS", divisions)):
            content = json.dumps(value).encode()
            put(isolated, f"hatexplain/{name}.json", content)
            file = replace(getattr(_hatexplain, attribute), sha256=digest(content))
            monkeypatch.setattr(_hatexplain, attribute, file)

    dataset = dict(
        [
            post(1, ["normal"] * 3, [["None"], ["None"], ["Women"]]),
            post(2, ["hatespeech", "offensive", "hatespeech"], [["African", "Women"], ["African"], ["Men"]]),
            post(3, ["normal", "offensive", "hatespeech"], [["Other"], ["None"], ["Islam"]]),
            post(4, ["offensive", "normal", "offensive"], [["Islam", "Jewish"], ["Jewish"], []]),
        ]
    )
    store(dataset, {"train": ["1_gab"], "val": ["2_gab"], "test": ["4_gab"]})
    return store, dataset


def test_hatexplain_by_hand(posts):
    bunch = fetch_hatexplain(keep_undecided=True, **LOCAL)
    check_bunch(bunch, 4)
    assert bunch.data.tolist() == ["made up"] * 4
    assert bunch.target.tolist() == [0, 2, -1, 1]
    assert bunch.split.tolist() == ["train", "val", "none", "test"]
    assert bunch.sensitive_features["race"].tolist() == ["none", "African", "none", "none"]
    assert bunch.sensitive_features["gender"].tolist() == ["Women", "several", "none", "none"]
    assert bunch.sensitive_features["religion"].tolist() == ["none", "none", "Islam", "several"]
    assert bunch.rationales.tolist() == [[], [[1, 0], [0, 1]], [[1, 0], [0, 1]], [[1, 0], [0, 1]]]
    strict = fetch_hatexplain(communities="majority", **LOCAL)
    assert strict.sensitive_features["gender"].tolist() == ["none"] * 3
    assert strict.sensitive_features["religion"].tolist() == ["none", "none", "Jewish"]
    assert strict.communities.sum().sum() == 2
    assert fetch_hatexplain(target="toxic", **LOCAL).target.tolist() == [0, 1, 1]


def test_hatexplain_broken_files(posts, isolated):
    store, dataset = posts
    dataset["1_gab"]["annotators"].pop()
    store(dataset, {})
    with pytest.raises(ChecksumError, match=r"dataset.json has another form than the official one"):
        fetch_hatexplain(**LOCAL)
    put(isolated, "hatexplain/dataset.json", b"{}")
    with pytest.raises(ChecksumError, match="sha256"):
        fetch_hatexplain(**LOCAL)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "hate"}, r"target must be one of \['label', 'toxic'\], got 'hate'"),
        ({"subset": "dev"}, "subset must be one of .*'val'.* got 'dev'"),
        ({"communities": 2}, "communities must be one of .* got 2"),
        ({"sensitive": "height"}, "sensitive must name one or more of .*'race'.*'Women'.* got 'height'"),
    ],
)
def test_hatexplain_bad_parameters(isolated, options, message):
    with pytest.raises(ValueError, match=message):
        fetch_hatexplain(**options, **LOCAL)


# ---------------------------------------------------------------------- pairs of sentences
def test_negation_words():
    said = ["No, never!", "Nothing.", "nobody's", "know not", "NO", "none", "", "no\none", "it is no-one"]
    assert has_negation(said).tolist() == [True, True, False, False, True, False, False, False, False]


def pairs_of(labels, seconds=None, **extra):
    """Lines of a jsonl file with the official fields and some that are not read."""
    seconds = seconds or [f"Second {i}." for i in range(len(labels))]
    rows = [
        {"annotator_labels": [label], "gold_label": label, "pairID": str(i), "sentence1": f"First {i}.", "sentence2": s}
        for i, (label, s) in enumerate(zip(labels, seconds))
    ]
    return "".join(json.dumps(row | extra) + "\n" for row in rows).encode()


MULTINLI = {
    "multinli_1.0_train.jsonl": pairs_of(
        ["neutral", "-", "entailment", "contradiction"], ["I.", "No.", "You.", "Nobody."], genre="fiction"
    ),
    "multinli_1.0_dev_matched.jsonl": pairs_of(["-", "contradiction"], genre="travel"),
    "multinli_1.0_dev_mismatched.jsonl": pairs_of(["entailment"], ["Never, no."], genre="9/11"),
}


def multinli_zip(path, members=MULTINLI):
    with zipfile.ZipFile(path, "w") as bundle:
        for name, content in members.items():
            bundle.writestr(f"__MACOSX/multinli_1.0/._{name}", b"\x00")
            bundle.writestr(f"multinli_1.0/{name}", content)
    return path.read_bytes()


@pytest.fixture
def multinli(isolated, monkeypatch):
    """Tiny files in the form of the official archive, in the cache; gives the cache."""
    (isolated / "multinli").mkdir(parents=True)
    content = multinli_zip(isolated / "multinli" / "multinli_1.0.zip")
    monkeypatch.setattr(_multinli, "_ARCHIVE", replace(_multinli._ARCHIVE, sha256=digest(content)))
    monkeypatch.setattr(_multinli, "_COUNTS", {"train": 3, "val": 1, "test": 1})
    return isolated


METADATA = ",gold_label,sentence2_has_negation,split\n0,2,0,2\n2,1,0,1\n3,0,1,0\n5,0,0,0\n6,1,1,0\n"


def test_multinli_official_parts(multinli):
    bunch = fetch_multinli(**LOCAL)
    check_bunch(bunch, 5)
    assert bunch.splits == "official"
    assert bunch.target_names == ["contradiction", "entailment", "neutral"]
    assert bunch.data.columns.tolist() == ["premise", "hypothesis"]
    assert bunch.data["hypothesis"].tolist() == ["I.", "You.", "Nobody.", "Second 1.", "Never, no."]
    assert bunch.target.tolist() == [2, 1, 0, 0, 1]
    assert bunch.split.tolist() == ["train"] * 3 + ["val", "test"]
    assert bunch.sensitive_features["negation"].tolist() == [False, False, True, False, True]
    assert bunch.genre.tolist() == ["fiction"] * 3 + ["travel", "9/11"]
    assert "train 3" in bunch.DESCR
    test = fetch_multinli(subset="test", sensitive=["genre", "negation"], joined=True, **LOCAL)
    assert test.data.tolist() == ["First 0. [SEP] Never, no."]
    assert test.sensitive_features.columns.tolist() == ["genre", "negation"]
    arrays = fetch_multinli(joined=True, as_frame=False, **LOCAL)
    assert arrays.data.shape == (5,)
    X, y = fetch_multinli(return_X_y=True, **LOCAL)
    assert (X.shape, y.shape) == ((5, 2), (5,))


def test_multinli_random_parts_of_group_dro(multinli):
    put(multinli, "multinli/metadata_random.csv", METADATA.encode())
    bunch = fetch_multinli(**LOCAL)
    assert bunch.splits == "group_dro"
    assert bunch.split.tolist() == ["test", "val", "train", "train", "train"]
    assert bunch.sensitive_features["negation"].tolist() == [False, False, True, False, True]
    assert fetch_multinli(subset="val", **LOCAL).data["hypothesis"].tolist() == ["You."]
    assert fetch_multinli(splits="official", **LOCAL).split.tolist() == ["train"] * 3 + ["val", "test"]


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (METADATA.replace("\n2,1,", "\n2,0,"), "5 rows that are not those of MultiNLI 1.0"),
        (METADATA.replace("\n6,", "\n7,"), "5 rows that are not those of MultiNLI 1.0"),
        (METADATA.replace("split", "part"), r"has the columns \['gold_label', .*'part'\], expected .*'split'\]"),
        ("", r"metadata_random.csv cannot be read as a table \(No columns.*left in place"),
    ],
)
def test_multinli_metadata_of_other_files(multinli, metadata, message):
    put(multinli, "multinli/metadata_random.csv", metadata.encode())
    with pytest.raises(ChecksumError, match=message):
        fetch_multinli(**LOCAL)


def test_multinli_random_parts_must_be_stored_or_loaded(multinli, server, monkeypatch):
    with pytest.raises(DatasetUnavailableError, match=r"metadata_random.csv"):
        fetch_multinli(splits="group_dro", **LOCAL)
    put(server.site, "metadata_random.csv", METADATA.encode())
    monkeypatch.setattr(_multinli, "_METADATA", replace(_multinli._METADATA, url=f"{server.url}/metadata_random.csv"))
    assert fetch_multinli().splits == "official"  # "auto" does not fetch it
    assert server.requests == []
    assert fetch_multinli(splits="group_dro").splits == "group_dro"


@pytest.mark.parametrize("folder", ["multinli", "multinli/multinli_1.0", "."])
def test_multinli_unpacked(multinli, folder):
    (multinli / "multinli" / "multinli_1.0.zip").unlink()
    for name, content in MULTINLI.items():
        put(multinli, f"{folder}/{name}", content)
    assert fetch_multinli(**LOCAL).target.tolist() == [2, 1, 0, 0, 1]


def test_multinli_from_the_address(multinli, server, monkeypatch):
    (multinli / "multinli" / "multinli_1.0.zip").rename(server.site / "multinli_1.0.zip")
    url = f"{server.url}/multinli_1.0.zip"
    monkeypatch.setattr(_multinli, "_ARCHIVE", replace(_multinli._ARCHIVE, url=url))
    assert len(fetch_multinli().data) == 5
    assert server.requests == ["/multinli_1.0.zip"]  # once for three members


def test_multinli_broken_files(multinli, monkeypatch):
    monkeypatch.setattr(_multinli, "_COUNTS", {"train": 392702, "val": 1, "test": 1})
    with pytest.raises(ChecksumError, match="hold {'train': 3} labelled pairs, expected { ?'train': 392702}?"):
        fetch_multinli(**LOCAL)
    path = multinli / "multinli" / "multinli_1.0.zip"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ChecksumError, match="sha256"):
        fetch_multinli(**LOCAL)
    monkeypatch.setattr(_multinli, "_ARCHIVE", replace(_multinli._ARCHIVE, sha256=frozenset()))
    with pytest.raises(ChecksumError, match="another form than the official file"):
        fetch_multinli(**LOCAL)
    multinli_zip(path, {"multinli_1.0_train.jsonl": b'{"gold_label": "neutral"}\n'})
    with pytest.raises(ChecksumError, match="expected a JSON object with .*'sentence1'"):
        fetch_multinli(**LOCAL)
    multinli_zip(path, {})
    with pytest.raises(ChecksumError, match="holds no multinli_1.0_train.jsonl"):
        fetch_multinli(**LOCAL)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subset": "dev"}, "subset must be one of .* got 'dev'"),
        ({"splits": "random"}, "splits must be one of .*'group_dro'.* got 'random'"),
        ({"sensitive": "label"}, "sensitive must name one or more of .* got 'label'"),
    ],
)
def test_multinli_bad_parameters(isolated, options, message):
    with pytest.raises(ValueError, match=message):
        fetch_multinli(**options, **LOCAL)


def test_snli_prepared_test_part(real):
    snli = fetch_snli(subset="test", **real)
    check_bunch(snli, 9824)
    assert snli.source == "prepared"
    assert snli.target.value_counts().to_dict() == {0: 3237, 1: 3368, 2: 3219}
    table = pd.crosstab(snli.target, snli.sensitive_features["negation"])
    assert table[True].tolist() == [94, 6, 9]
    path = Path(os.environ["SKFAIR_DATA"]) / "snli" / "snli_test.tsv.gz"
    stored = pd.read_csv(path, sep="\t", quoting=3, keep_default_na=False)["sentence2_has_negation"]
    assert (snli.sensitive_features["negation"] == stored.astype(bool)).all()
    joined = fetch_snli(subset="test", joined=True, **real)
    assert (joined.data.str.count(r" \[SEP\] ") == 1).all()
    with pytest.raises(DatasetUnavailableError, match=r"snli_1\.0\.zip"):
        fetch_snli(**real)


def test_snli_official_files(isolated, monkeypatch):
    (isolated / "snli").mkdir(parents=True)
    path = isolated / "snli" / "snli_1.0.zip"
    with zipfile.ZipFile(path, "w") as bundle:
        for part, labels in (
            ("train", ["neutral", "-"]),
            ("dev", ["entailment"]),
            ("test", ["contradiction", "neutral"]),
        ):
            bundle.writestr(f"snli_1.0/snli_1.0_{part}.jsonl", pairs_of(labels, captionID="1"))
    monkeypatch.setattr(_snli, "_ARCHIVE", replace(_snli._ARCHIVE, sha256=digest(path.read_bytes())))
    monkeypatch.setattr(_snli, "_COUNTS", {"train": 1, "val": 1, "test": 2})
    snli = fetch_snli(**LOCAL)
    check_bunch(snli, 4)
    assert snli.source == "official"
    assert snli.target.tolist() == [2, 1, 0, 2]
    assert fetch_snli(subset="test", **LOCAL).target.tolist() == [0, 2]
    monkeypatch.setattr(_snli, "_COUNTS", {"train": 1, "val": 1, "test": 9824})
    with pytest.raises(ChecksumError, match="SNLI hold {'test': 2} labelled pairs, expected {'test': 9824}"):
        fetch_snli(subset="test", **LOCAL)


# ---------------------------------------------------------------------- Civil Comments
IDENTITIES = ["male", "female", "LGBTQ", "christian", "muslim", "other_religions", "black", "white"]


def comments(n_rows=6):
    """Made-up rows in the form of WILDS' file."""
    frame = pd.DataFrame({"comment_text": [f'text {i}, with a "quote"\nand a line' for i in range(n_rows)]})
    frame["id"] = range(100, 100 + n_rows)
    frame["split"] = (["train", "train", "train", "val", "test", "test"] * n_rows)[:n_rows]
    frame["toxicity"] = ([0.5, 0.49, 1.0, 0.0, 0.6, 0.1] * n_rows)[:n_rows]
    for i, name in enumerate(IDENTITIES):
        frame[name] = [0.5 if (row + i) % 3 == 0 else 0.25 for row in range(n_rows)]
    return frame.assign(identity_any=1, severe_toxicity=0.0)


@pytest.fixture
def civil(isolated, monkeypatch):
    monkeypatch.setattr(_civil_comments, "_COUNTS", {"train": 3, "val": 1, "test": 2})
    put(isolated, "civil_comments/all_data_with_identities.csv", comments().to_csv().encode())
    return isolated


def test_civil_comments_of_wilds(civil):
    bunch = fetch_civil_comments(**LOCAL)
    check_bunch(bunch, 6)
    assert bunch.source == "wilds"
    assert bunch.data.iloc[1] == 'text 1, with a "quote"\nand a line'
    assert bunch.target.tolist() == [1, 0, 1, 0, 1, 0]
    assert bunch.toxicity.tolist() == [0.5, 0.49, 1.0, 0.0, 0.6, 0.1]
    assert bunch.sensitive_features.columns.tolist() == IDENTITIES
    assert bunch.sensitive_features["male"].tolist() == [True, False, False] * 2
    assert bunch.sensitive_features["female"].tolist() == [False, False, True] * 2
    test = fetch_civil_comments(subset="test", sensitive="black", **LOCAL)
    assert test.target.tolist() == [1, 0]
    assert test.sensitive_features.columns.tolist() == ["black"]
    assert fetch_civil_comments(as_frame=False, **LOCAL).data.shape == (6,)


@pytest.mark.parametrize("folder", ["civilcomments_v1.0", "."])
def test_civil_comments_elsewhere_and_packed(civil, folder):
    path = civil / "civil_comments" / "all_data_with_identities.csv"
    put(civil, f"{folder}/{path.name}.gz", gzip.compress(path.read_bytes()))
    path.unlink()
    assert len(fetch_civil_comments(**LOCAL).data) == 6


def test_civil_comments_from_the_address(civil, server, monkeypatch):
    name = "all_data_with_identities.csv"
    (civil / "civil_comments" / name).rename(server.site / name)
    monkeypatch.setattr(_civil_comments, "_WILDS", replace(_civil_comments._WILDS, url=f"{server.url}/{name}"))
    assert len(fetch_civil_comments().data) == 6
    assert (civil / "civil_comments" / name).is_file()


@pytest.mark.parametrize(("name", "toxicity"), [("all_data.csv", "toxicity"), ("train.csv", "target")])
def test_civil_comments_of_kaggle(isolated, name, toxicity):
    frame = comments().drop(columns=["LGBTQ", "other_religions"]).rename(columns={"toxicity": toxicity})
    frame["split"] = ["train"] * 4 + ["test"] * 2
    for parts in _civil_comments._PARTS_OF.values():
        frame[parts] = 0.0
    frame.loc[0, "bisexual"], frame.loc[2, ["jewish", "atheist"]] = 0.5, [0.4, 0.4]
    identities = frame.columns.difference(["id", "comment_text", "split", toxicity])
    frame.loc[3, identities] = np.nan  # not annotated
    if name == "train.csv":
        frame = frame.drop(columns="split")
    put(isolated, f"civil_comments/{name}", frame.to_csv(index=False).encode())
    bunch = fetch_civil_comments(**LOCAL)
    check_bunch(bunch, 5)
    assert bunch.source == "kaggle"
    assert bunch.target.tolist() == [1, 0, 1, 1, 0]
    assert bunch.sensitive_features["LGBTQ"].tolist() == [True] + [False] * 4
    assert not bunch.sensitive_features["other_religions"].any()  # none of the parts reaches a half
    assert set(bunch.split) == ({"train", "test"} if name == "all_data.csv" else {"train"})
    with pytest.raises(ValueError, match="holds no part 'val'"):
        fetch_civil_comments(subset="val", **LOCAL)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (comments(5).to_csv(), "holds the parts {'train': 3, 'val': 1, 'test': 1}, expected {'train': 3, "),
        (comments().drop(columns=["white", "split"]).to_csv(), r"lacks the columns \['split', 'white'\]"),
        (comments().assign(black="x").to_csv(), "cannot be read as a table"),
        ("", "cannot be read as a table"),
    ],
)
def test_civil_comments_broken_files(civil, content, message):
    put(civil, "civil_comments/all_data_with_identities.csv", content.encode())
    with pytest.raises(ChecksumError, match=message):
        fetch_civil_comments(**LOCAL)


def test_civil_comments_bad_parameters(isolated):
    with pytest.raises(ValueError, match="subset must be one of .* got 'dev'"):
        fetch_civil_comments(subset="dev", **LOCAL)
    with pytest.raises(ValueError, match="sensitive must name one or more of .*'LGBTQ'.* got 'jewish'"):
        fetch_civil_comments(sensitive="jewish", **LOCAL)


# ---------------------------------------------------------------------- all of them
@pytest.mark.parametrize("fetch", [fetch_hatexplain, fetch_multinli, fetch_snli, fetch_civil_comments])
def test_offline(isolated, fetch):
    with pytest.raises(DatasetUnavailableError, match="SKFAIR_DATA"):
        fetch(**LOCAL)


def test_addresses_and_checksums():
    files = [_hatexplain._POSTS, _hatexplain._DIVISIONS, _multinli._ARCHIVE, _snli._ARCHIVE, _civil_comments._WILDS]
    assert all(file.url.startswith("https://") for file in files)
    known = [file for file in files if file.sha256]
    assert len(known) == 4
    assert all(len(d) == 64 and set(d) <= set(string.hexdigits) for file in known for d in file.sha256)
