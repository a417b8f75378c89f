"""Where the tables of bank marketing and of credit default may come from, and what is refused."""

import gzip
import hashlib
import io
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skfair.datasets import (
    ChecksumError,
    DatasetUnavailableError,
    _bank_marketing,
    _credit_default,
    fetch_bank_marketing,
    fetch_credit_default,
)

BANK = b"""\
"age";"job";"marital";"education";"default";"balance";"housing";"loan";"contact";"day";"month";"duration";\
"campaign";"pdays";"previous";"poutcome";"y"
24;"student";"single";"unknown";"no";-5;"no";"no";"cellular";3;"oct";300;1;-1;0;"unknown";"yes"
25;"admin.";"married";"secondary";"no";10;"yes";"no";"unknown";5;"may";61;1;-1;0;"unknown";"no"
60;"retired";"divorced";"primary";"yes";0;"no";"yes";"telephone";5;"may";0;2;90;1;"failure";"no"
61;"retired";"married";"tertiary";"no";99;"no";"no";"cellular";9;"nov";700;1;80;2;"success";"yes"
"""


def pack(members):
    """Bytes of a zip file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in members.items():
            bundle.writestr(name, content)
    return out.getvalue()


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def shared(name):
    """A real file, uncompressed; `real` comes before `isolated`, which hides SKFAIR_DATA."""
    return gzip.decompress((Path(os.environ["SKFAIR_DATA"]) / name).read_bytes())


# ---------------------------------------------------------------------- bank marketing
@pytest.fixture
def bank(isolated, server, monkeypatch):
    """The loader takes BANK for the official table; gives the folder of the cache."""
    digest = frozenset({hashlib.sha256(BANK).hexdigest()})
    monkeypatch.setattr(_bank_marketing, "_TABLE", replace(_bank_marketing._TABLE, sha256=digest))
    archive = replace(_bank_marketing._ARCHIVE, url=f"{server.url}/bank+marketing.zip")
    monkeypatch.setattr(_bank_marketing, "_ARCHIVE", archive)
    return isolated / "bank_marketing"


def check_made_up_bank(dataset):
    assert dataset.target.tolist() == [1, 0, 0, 1]
    assert dataset.target.name == "y"
    assert dataset.sensitive_features["age_group"].tolist() == ["<25 or >60", "25-60", "25-60", "<25 or >60"]
    assert dataset.sensitive_features["marital"].tolist() == ["single", "married", "divorced", "married"]
    assert dataset.data["education"].tolist() == ["unknown", "secondary", "primary", "tertiary"]
    assert "duration" not in dataset.feature_names


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bank-full.csv", BANK),
        ("bank-full.csv.gz", gzip.compress(BANK)),
        ("bank.zip", pack({"bank-names.txt": b"x", "bank.csv": b"y", "bank-full.csv": BANK})),
        ("bank.zip.gz", gzip.compress(pack({"bank-full.csv": BANK}))),
    ],
)
def test_bank_stored(bank, name, content):
    put(bank / name, content)
    check_made_up_bank(fetch_bank_marketing(download_if_missing=False))


def test_bank_from_the_zip_in_the_zip(bank, server):
    inner = pack({"bank.csv": b"a tenth", "bank-full.csv": BANK})
    outer = pack({"bank-additional.zip": pack({"bank-additional-full.csv": b"another one"}), "bank.zip": inner})
    put(server.site / "bank+marketing.zip", outer)
    check_made_up_bank(fetch_bank_marketing())
    assert (bank / "bank.zip").read_bytes() == inner
    check_made_up_bank(fetch_bank_marketing(download_if_missing=False))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no zip", r"bank.zip is not a whole zip file with bank-full.csv in it \(File is not a zip file\)"),
        (pack({"bank-full.csv": BANK})[:-30], "is not a whole zip file"),
        (pack({"bank.csv": BANK}), "There is no item named 'bank-full.csv'"),
        (pack({"bank-full.csv": b"age;y\n30;yes\n"}), "bank-full.csv in .*bank.zip has sha256 .* expected"),
    ],
)
def test_bank_bad_archive_is_left(bank, content, message):
    path = put(bank / "bank.zip", content)
    with pytest.raises(ChecksumError, match=message) as error:
        fetch_bank_marketing()
    assert "left in place" in str(error.value)
    assert path.read_bytes() == content


def test_bank_bad_table(bank):
    put(bank / "bank-full.csv", BANK + b"\n")
    with pytest.raises(ChecksumError, match="bank-full.csv has sha256"):
        fetch_bank_marketing()


def test_bank_offline(bank, server):
    with pytest.raises(DatasetUnavailableError) as error:
        fetch_bank_marketing()
    for part in ("the file bank.zip of", f"{server.url}/bank+marketing.zip", str(bank / "bank.zip"), "SKFAIR_DATA"):
        assert part in str(error.value)


# ---------------------------------------------------------------------- credit default
HEADINGS = {
    "data.csv of UCI": (["ID", *(f"X{number}" for number in range(1, 24)), "Y"], True),
    "the sheet, saved": (["ID", *_credit_default._COLUMNS], True),
    "no ID": (_credit_default._COLUMNS, False),
    "none": (None, True),
}


def made_up(n_rows=30):
    """Rows of the right form: every code of a category, payments up and down."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.integers(-2, 9, (n_rows, 24)), columns=_credit_default._COLUMNS)
    return table.assign(
        LIMIT_BAL=np.arange(n_rows) * 1000,
        SEX=np.arange(n_rows) % 2 + 1,
        EDUCATION=np.arange(n_rows) % 7,
        MARRIAGE=np.arange(n_rows) % 4,
        AGE=np.arange(n_rows) + 21,
        **{_credit_default._TARGET: np.arange(n_rows) % 3 == 0},
    ).astype(np.int64)


def to_csv(table, names, with_id):
    if with_id:
        table = table.set_axis(range(1, len(table) + 1))
    header = names is not None and names[1:] if with_id else names
    text = table.to_csv(index=with_id, header=header or False, index_label=names and names[0])
    return text.encode()


@pytest.fixture
def credit(isolated, server, monkeypatch):
    """The loader takes the made-up rows for the official ones; gives the path in the cache."""
    table = made_up()
    monkeypatch.setattr(_credit_default, "_N_ROWS", len(table))
    monkeypatch.setattr(_credit_default, "_VALUES", hashlib.sha256(table.to_numpy("<f8").tobytes()).hexdigest())
    monkeypatch.setattr(_credit_default, "_FILE", replace(_credit_default._FILE, url=f"{server.url}/data.csv"))
    return isolated / "credit_default" / "credit-card-clients.csv"


def check_made_up_credit(dataset):
    table = made_up()
    assert dataset.target.tolist() == table[_credit_default._TARGET].tolist()
    assert dataset.target.name == "default payment next month"
    assert dataset.sensitive_features["SEX"].tolist() == ["Male", "Female"] * 15
    education = ["unknown", "graduate school", "university", "high school", "others", "unknown", "unknown"]
    assert dataset.data["EDUCATION"].tolist()[:7] == education
    assert dataset.data["MARRIAGE"].tolist()[:4] == ["unknown", "married", "single", "others"]
    names = [name for name in table.columns[:-1] if name not in ("SEX", "EDUCATION", "MARRIAGE")]
    pd.testing.assert_frame_equal(dataset.data[names], table[names])


@pytest.mark.parametrize("form", HEADINGS)
@pytest.mark.parametrize("packed", [False, True])
def test_credit_whatever_the_headings(credit, form, packed):
    content = to_csv(made_up(), *HEADINGS[form])
    path = credit.with_name(credit.name + ".gz") if packed else credit
    put(path, gzip.compress(content) if packed else content)
    check_made_up_credit(fetch_credit_default(download_if_missing=False))


def test_credit_two_rows_of_headings_a_mark_and_decimals(credit):
    """As a spreadsheet may write it."""
    above = ["", *(f"X{number}" for number in range(1, 24)), "Y"]
    table = made_up().astype({"BILL_AMT1": float, "PAY_AMT6": float})
    content = to_csv(table, *HEADINGS["the sheet, saved"]).replace(b"\n", b"\r\n")
    put(credit, b"\xef\xbb\xbf" + ",".join(above).encode() + b"\r\n" + content)
    check_made_up_credit(fetch_credit_default())


def test_credit_downloaded(credit, server):
    put(server.site / "data.csv", to_csv(made_up(), *HEADINGS["data.csv of UCI"]))
    check_made_up_credit(fetch_credit_default())
    assert credit.is_file()
    check_made_up_credit(fetch_credit_default(download_if_missing=False))
    assert server.requests == ["/data.csv"]


def changed(**columns):
    return to_csv(made_up().assign(**columns), *HEADINGS["no ID"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed(AGE=30), "holds 30 rows of 24 numbers with sha256 .* expected 30 of 24"),
        (changed(BILL_AMT1=0.5), "holds 30 rows of 24 numbers"),
        (changed(BILL_AMT1="?"), "holds 0 rows of 24 numbers"),
        (to_csv(made_up()[::-1], *HEADINGS["no ID"]), "holds 30 rows of 24 numbers"),
        (to_csv(made_up(29), *HEADINGS["no ID"]), "holds 29 rows of 24 numbers"),
        (to_csv(made_up(), *HEADINGS["no ID"]).replace(b",", b";"), "holds 0 rows of 1 numbers"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "cannot be read as CSV"),  # how an .xls begins
        (b"", "cannot be read as CSV"),
        (b"1,2\n1,2,3\n", "cannot be read as CSV"),
    ],
)
def test_credit_other_content_is_left(credit, content, message):
    put(credit, content)
    with pytest.raises(ChecksumError, match=message) as error:
        fetch_credit_default()
    for part in (str(credit), "left in place", "save its sheet as credit-card-clients.csv"):
        assert part in str(error.value)
    assert credit.read_bytes() == content


def test_credit_half_a_gzip_file(credit):
    content = gzip.compress(to_csv(made_up(), *HEADINGS["no ID"]))
    put(credit.with_name(credit.name + ".gz"), content[: len(content) // 2])
    with pytest.raises(ChecksumError, match="is not a whole gzip file"):
        fetch_credit_default()


@pytest.mark.parametrize("download", [False, True])
def test_credit_offline_says_what_to_put_where(credit, server, download):
    with pytest.raises(DatasetUnavailableError) as error:
        fetch_credit_default(download_if_missing=download)
    sheet = "https://archive.ics.uci.edu/static/public/350/default+of+credit+card+clients.zip"
    for part in (
        f"{server.url}/data.csv",
        str(credit),
        "SKFAIR_DATA",
        sheet,
        "save its sheet as credit-card-clients.csv",
    ):
        assert part in str(error.value)


# ---------------------------------------------------------------------- both
@pytest.fixture
def real_tables(real):
    """Read before `isolated` removes SKFAIR_DATA."""
    credit = pd.read_csv(io.BytesIO(shared("credit_default/credit-card-clients.csv.gz")))
    return {"bank": shared("bank_marketing/bank-full.csv.gz"), "credit": credit}


def test_real_tables_as_uci_sends_them(real_tables, isolated, server, monkeypatch):
    """The whole way, with this machine in the place of UCI's."""
    put(server.site / "bank.zip", pack({"bank.zip": pack({"bank-full.csv": real_tables["bank"]})}))
    put(server.site / "data.csv", to_csv(real_tables["credit"], *HEADINGS["data.csv of UCI"]))
    archive = replace(_bank_marketing._ARCHIVE, url=f"{server.url}/bank.zip")
    monkeypatch.setattr(_bank_marketing, "_ARCHIVE", archive)
    monkeypatch.setattr(_credit_default, "_FILE", replace(_credit_default._FILE, url=f"{server.url}/data.csv"))
    assert fetch_bank_marketing().target.sum() == 5289
    assert fetch_credit_default().target.sum() == 6636


def test_addresses_are_official():
    for file in (_bank_marketing._ARCHIVE, _credit_default._FILE):
        assert file.url.startswith("https://archive.ics.uci.edu/static/public/")
