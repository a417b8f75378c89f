"""The way from the official address to the Bunch, with a server on this machine in its place."""

import gzip
import hashlib
import io
import os
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skfair.datasets import (
    ChecksumError,
    DatasetUnavailableError,
    _adult,
    _compas,
    _german_credit,
    _meps,
    _south_german_credit,
    fetch_adult,
    fetch_compas,
    fetch_german_credit,
    fetch_meps,
    fetch_south_german_credit,
)


def ibm_double(values):
    """IBM hexadecimal floating point, 8 bytes each, of finite numbers."""
    out = []
    for value in np.asarray(values, dtype=float).tolist():
        exponent, mantissa = 0, abs(value)
        while mantissa >= 1:
            mantissa, exponent = mantissa / 16, exponent + 1
        while 0 < mantissa < 1 / 16:
            mantissa, exponent = mantissa * 16, exponent - 1
        head = ((value < 0) << 7 | (64 + exponent)) if mantissa else 0
        out.append(struct.pack(">Q", head << 56 | int(mantissa * 2**56)))
    return out


def write_xport(frame):
    """Bytes of a transport file with the (numeric) columns of `frame`."""

    def header(text, tail="000000000000000000000000000000"):
        return f"HEADER RECORD*******{text}HEADER RECORD!!!!!!!{tail}".ljust(80).encode()

    def padded(data):
        return data + b" " * (-len(data) % 80)

    date = b"01JAN16:00:00:00"
    sas = b"SAS     SAS     SASLIB  9.4     LINUX   ".ljust(64) + date
    parts = [header("LIBRARY "), sas, date.ljust(80)]
    parts += [header("MEMBER  ", "000000000000000001600000000140"), header("DSCRPTR ")]
    parts += [b"SAS     MEPS    SASDATA 9.4     LINUX   ".ljust(64) + date, date.ljust(80)]
    parts += [header("NAMESTR ", f"000000{frame.shape[1]:04d}00000000000000000000")]
    fields = b""
    for position, name in enumerate(frame.columns):
        field = struct.pack(">hhhh8s40s8shhh2s8shhl", 1, 0, 8, position + 1, name.encode().ljust(8), b" " * 40,
                            b" " * 8, 0, 0, 0, b"  ", b" " * 8, 0, 0, position * 8)  # fmt: skip
        fields += field + b" " * 52
    parts += [padded(fields), header("OBS     ")]
    columns = [ibm_double(frame[name]) for name in frame.columns]
    parts += [padded(b"".join(b"".join(row) for row in zip(*columns, strict=True)))]
    return b"".join(parts)


@pytest.fixture
def raw():
    """Made-up rows in the form of AHRQ's full-year file of 2015; 0 to 5 are in panel 19 and complete."""
    rng = np.random.default_rng(0)
    columns = _meps.raw_columns("15")
    raw = pd.DataFrame(rng.integers(1, 3, size=(12, len(columns))).astype(float), columns=columns)
    raw["PANEL"] = 19.0
    raw["AGE53X"] = np.arange(20.0, 32.0)
    raw["PCS42"], raw["MCS42"] = 51.25, -9.0
    raw["PERWT15F"] = 1234.567
    for name in ("OBTOTV15", "OPTOTV15", "ERTOT15", "IPNGTD15", "HHTOTD15"):
        raw[name] = 0.0
    raw["RACEV2X"], raw["HISPANX"] = 1.0, 2.0
    raw.loc[1, "RACEV2X"] = 2  # not white
    raw.loc[2, "HISPANX"] = 1  # Hispanic
    raw.loc[3, ["OBTOTV15", "HHTOTD15"]] = [4, 6]  # 10 visits
    raw.loc[4, ["OBTOTV15", "IPNGTD15"]] = [4, 5]  # 9
    raw.loc[5, "FTSTU53X"] = -1  # inapplicable: stays
    raw.loc[6, "PANEL"] = 20
    for row, name in enumerate(["MARRY53X", "REGION53", "ASTHDX", "PHQ242", "EDUCYR"], start=7):
        raw.loc[row, name] = -1 if row < 10 else -8
    return raw


def test_prepare_meps(raw):
    frame = _meps.prepare_meps(raw, 19, "15")
    assert list(frame.columns) == [*_meps._FEATURES, "UTILIZATION", "PERWT"]
    assert frame["AGE"].tolist() == [20, 21, 22, 23, 24, 25]
    assert frame["RACE"].tolist() == [1, 0, 0, 1, 1, 1]
    assert frame["UTILIZATION"].tolist() == [0, 0, 0, 1, 0, 0]
    assert frame["FTSTU"].iloc[5] == -1
    assert frame["MCS42"].tolist() == [-9.0] * 6  # scores are not filtered
    assert frame["REGION"].dtype == np.int64


def test_age_below_zero_is_dropped(raw):
    raw.loc[0, "AGE53X"] = -1
    assert len(_meps.prepare_meps(raw, 19, "15")) == 5


def put_meps(server, raw, monkeypatch, n_rows=6):
    with zipfile.ZipFile(server.site / "h181ssp.zip", "w") as bundle:
        bundle.writestr("H181.SSP", write_xport(raw))
    spec = dict(_meps._PANELS[19], n_rows=n_rows)
    spec["official"] = replace(spec["official"], url=f"{server.url}/h181ssp.zip", mirrors=())
    monkeypatch.setitem(_meps._PANELS, 19, spec)


def test_meps_from_the_official_file(isolated, server, raw, monkeypatch):
    extra = pd.DataFrame(np.ones((12, 1700)), columns=[f"V{i}" for i in range(1700)])  # the file has 1800 columns
    put_meps(server, pd.concat([raw, extra], axis=1), monkeypatch)
    meps = fetch_meps(19)
    assert meps.source == "official"
    assert meps.split is None
    assert meps.data.shape == (6, 41)
    assert meps.data["PCS42"].tolist() == [51.25] * 6
    assert meps.sample_weight.to_numpy() == pytest.approx(1234.567)
    assert meps.sensitive_features["RACE"].tolist() == ["White", "Non-White", "Non-White", "White", "White", "White"]
    sex = np.where(raw["SEX"].iloc[:6] == 2, "Female", "Male")
    assert meps.sensitive_features["SEX"].tolist() == sex.tolist()
    assert meps.data["REGION"].dtype == "category"
    assert (isolated / "meps" / "h181.ssp").is_file()


def test_meps_with_another_number_of_rows(isolated, server, raw, monkeypatch):
    put_meps(server, raw, monkeypatch, n_rows=15830)
    with pytest.raises(ChecksumError, match="gives 6 rows of panel 19 after preparation, expected 15830"):
        fetch_meps(19)


def test_meps_with_missing_columns(isolated, server, raw, monkeypatch):
    put_meps(server, raw.drop(columns=["K6SUM42", "EDUCYR"]), monkeypatch)
    with pytest.raises(ChecksumError, match=r"lacks the columns \['EDUCYR', 'K6SUM42'\]"):
        fetch_meps(19)


def serve_zip(server, members):
    with zipfile.ZipFile(server.site / "set.zip", "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in members.items():
            bundle.writestr(name, content)
    return f"{server.url}/set.zip"


def shared(name):
    """Content of a real file, uncompressed; call before the fixture `isolated` hides SKFAIR_DATA."""
    path = Path(os.environ["SKFAIR_DATA"]) / name
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


@pytest.fixture
def real_content(real):
    """Read before `isolated` removes SKFAIR_DATA."""
    return {
        name: shared(path)
        for name, path in {
            "adult.data": "adult/adult.data.gz",
            "adult.test": "adult/adult.test.gz",
            "german.data": "german_credit/german.data",
            "SouthGermanCredit.asc": "south_german_credit/SouthGermanCredit.asc",
            "compas": "compas/compas-scores-two-years.csv.gz",
        }.items()
    }


def test_adult_from_the_zip(real_content, isolated, server, monkeypatch):
    url = serve_zip(server, {name: real_content[name] for name in ("adult.data", "adult.test")})
    files = {part: replace(file, url=url) for part, file in _adult._FILES.items()}
    monkeypatch.setattr(_adult, "_FILES", files)
    assert len(fetch_adult().data) == 48842
    assert (isolated / "adult" / "adult.test").is_file()
    assert len(fetch_adult(download_if_missing=False).data) == 48842


@pytest.mark.parametrize(
    ("module", "fetch", "member"),
    [
        (_german_credit, fetch_german_credit, "german.data"),
        (_south_german_credit, fetch_south_german_credit, "SouthGermanCredit.asc"),
    ],
)
def test_credit_from_the_zip(real_content, isolated, server, monkeypatch, module, fetch, member):
    url = serve_zip(server, {f"folder/{member}": real_content[member]})
    monkeypatch.setattr(module, "_FILE", replace(module._FILE, url=url))
    assert fetch().target.sum() == 700


def test_compas_from_a_file_with_more_columns(real_content, isolated, server, monkeypatch):
    """The official file has columns of names, too; its digest is another one."""
    frame = pd.read_csv(io.BytesIO(real_content["compas"]), dtype=str, keep_default_na=False)
    frame.insert(1, "name", "made up")
    content = frame.to_csv(index=False).encode()
    (server.site / "compas.csv").write_bytes(content)
    digest = frozenset({hashlib.sha256(content).hexdigest()})
    file = replace(_compas._FILE, url=f"{server.url}/compas.csv", sha256=digest)
    monkeypatch.setattr(_compas, "_FILE", file)
    compas = fetch_compas()
    assert len(compas.target) == 6172
    assert "name" not in compas.feature_names


@pytest.mark.parametrize("module", [_german_credit, _south_german_credit, _compas])
def test_addresses_are_official(module):
    assert module._FILE.url.startswith(("https://archive.ics.uci.edu/", "https://raw.githubusercontent.com/propublica"))
    assert module._FILE.sha256


def test_offline_names_the_official_file(isolated, monkeypatch):
    file = replace(_compas._FILE, url="http://127.0.0.1:9/compas-scores-two-years.csv")
    monkeypatch.setattr(_compas, "_FILE", file)
    with pytest.raises(DatasetUnavailableError, match="Put http://127.0.0.1:9/compas-scores-two-years.csv to "):
        fetch_compas()
