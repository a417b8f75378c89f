"""Finding, checking, caching and downloading files; the network is a server on this machine."""

import gzip
import hashlib
import os
import threading
import zipfile
from dataclasses import replace

import pytest

from skfair.datasets import ChecksumError, DatasetUnavailableError, get_data_home
from skfair.datasets._fetch import RemoteFile, default_progress, resolve

CONTENT = b"1,2,3\n" * 5000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def file(server):
    """A file that the server has, plain and in a zip."""
    (server.site / "toy.csv").write_bytes(CONTENT)
    with zipfile.ZipFile(server.site / "toy.zip", "w") as bundle:
        bundle.writestr("folder/Toy.csv", CONTENT)
        bundle.writestr("readme.txt", "hello")
    return RemoteFile("toy", "toy.csv", f"{server.url}/toy.csv", sha256=frozenset({DIGEST}))


def stored(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_download_then_cache(isolated, server, file):
    path, found = resolve(file)
    assert path == isolated / "toy" / "toy.csv"
    assert found is file
    assert path.read_bytes() == CONTENT
    assert resolve(file)[0] == path
    assert server.requests == ["/toy.csv"]  # not asked twice
    assert stored(isolated) == ["toy.csv"]
    (isolated / "plain").touch()
    assert path.stat().st_mode == (isolated / "plain").stat().st_mode  # others may read a shared cache


def test_zip_member(isolated, server, file):
    path, _ = resolve(replace(file, url=f"{server.url}/toy.zip", member="toy.csv"))
    assert path.read_bytes() == CONTENT
    assert stored(isolated) == ["toy.csv"]


def test_zip_without_the_member_or_no_zip(isolated, server, file):
    with pytest.raises(ChecksumError, match="expected a member named 'other.csv'"):
        resolve(replace(file, url=f"{server.url}/toy.zip", member="other.csv"))
    with pytest.raises(ChecksumError, match="did not send a whole zip file"):
        resolve(replace(file, member="toy.csv"))
    assert stored(isolated) == []


def test_order_of_places(isolated, tmp_path, monkeypatch, file):
    def put(home):
        (home / "toy").mkdir(parents=True)
        (home / "toy" / "toy.csv").write_bytes(CONTENT)
        return home / "toy" / "toy.csv"

    cached = put(isolated)
    assert resolve(file)[0] == cached
    shared = put(tmp_path / "shared")
    monkeypatch.setenv("SKFAIR_DATA", str(tmp_path / "shared"))
    assert resolve(file)[0] == shared
    given = put(tmp_path / "given")
    assert resolve(file, data_home=tmp_path / "given")[0] == given
    assert resolve(file, data_home=given.parent)[0] == given  # the data set's own folder
    assert resolve(file, data_home=tmp_path / "nothing")[0] == shared


def test_data_home_is_downloaded_to(isolated, tmp_path, file):
    assert resolve(file, data_home=tmp_path / "mine")[0] == tmp_path / "mine" / "toy" / "toy.csv"
    assert not isolated.exists()


def test_gz_is_found_and_checked_uncompressed(isolated, file):
    (isolated / "toy").mkdir(parents=True)
    (isolated / "toy" / "toy.csv.gz").write_bytes(gzip.compress(CONTENT, 1))
    assert resolve(file)[0].name == "toy.csv.gz"
    (isolated / "toy" / "toy.csv.gz").write_bytes(gzip.compress(CONTENT)[:-20])
    with pytest.raises(ChecksumError, match="not a whole gzip file"):
        resolve(file)


def test_alternatives_come_first_and_are_never_downloaded(isolated, file):
    other = RemoteFile("toy", "prepared.csv", "", sha256=frozenset({hashlib.sha256(b"x").hexdigest()}))
    assert resolve(file, alternatives=(other,))[1] is file
    (isolated / "toy" / "prepared.csv").write_bytes(b"x")
    assert resolve(file, alternatives=(other,))[1] is other


def test_bad_checksum_of_a_stored_file_leaves_it(isolated, server, file):
    path = isolated / "toy" / "toy.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"something else")
    with pytest.raises(ChecksumError) as error:
        resolve(file)
    for part in (str(path), DIGEST, hashlib.sha256(b"something else").hexdigest(), "left in place"):
        assert part in str(error.value)
    assert path.read_bytes() == b"something else"
    assert server.requests == []


def test_bad_checksum_of_a_download_stores_nothing(isolated, file):
    with pytest.raises(ChecksumError, match=f"sha256 {DIGEST}, expected 00; nothing was stored"):
        resolve(replace(file, sha256=frozenset({"00"})))
    assert stored(isolated) == []


def test_retries(isolated, server, file):
    assert resolve(replace(file, url=f"{server.url}/flaky/toy.csv"))[0].read_bytes() == CONTENT
    assert server.requests == ["/flaky/toy.csv"] * 3


def test_mirror(isolated, server, file):
    path, _ = resolve(replace(file, url=f"{server.url}/gone.csv", mirrors=(file.url,)))
    assert path.read_bytes() == CONTENT
    assert server.requests == ["/gone.csv", "/toy.csv"]  # 404: no retry


def test_half_a_file_is_no_file(isolated, server, file):
    with pytest.raises(DatasetUnavailableError):
        resolve(replace(file, url=f"{server.url}/short/toy.csv"))
    assert stored(isolated) == []
    assert len(server.requests) == 3


def test_offline_error_says_what_to_put_where(isolated, file):
    missing = replace(file, url="http://127.0.0.1:9/toy.zip", member="inside.csv")
    with pytest.raises(DatasetUnavailableError) as error:
        resolve(missing)
    expected = (missing.url, "inside.csv", str(isolated / "toy" / "toy.csv"), "SKFAIR_DATA", "data_home")
    for part in expected:
        assert part in str(error.value)
    assert isinstance(error.value, OSError)


def test_download_if_missing_false(isolated, server, file):
    with pytest.raises(DatasetUnavailableError, match="download_if_missing=False"):
        resolve(file, download_if_missing=False)
    assert server.requests == []
    assert not isolated.exists()


def test_home_that_cannot_be_written(isolated, tmp_path, file):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DatasetUnavailableError, match="cannot write to the cache folder .* SKFAIR_HOME"):
        resolve(file, data_home=tmp_path / "file")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_read_only_home(isolated, tmp_path, file):
    (tmp_path / "locked").mkdir(mode=0o555)
    with pytest.raises(DatasetUnavailableError, match="cannot write to the cache folder"):
        resolve(file, data_home=tmp_path / "locked")


def test_many_at_once(isolated, file):
    results = []
    threads = [threading.Thread(target=lambda: results.append(resolve(file)[0].read_bytes())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [CONTENT] * 8
    assert stored(isolated) == ["toy.csv"]


def test_progress_is_called_and_silent_without_a_terminal(isolated, file, capsys):
    calls = []
    resolve(file, progress=lambda done, total, name: calls.append((done, total, name)))
    assert calls[-1] == (len(CONTENT), len(CONTENT), "toy.csv")
    default_progress(1, 2, "toy.csv")
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_progress_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    default_progress(1, 2, "toy.csv")
    default_progress(2, 2, "toy.csv")
    default_progress(3_000_000, 0, "toy.csv")
    assert capsys.readouterr().err == "\rtoy.csv:   50 %\rtoy.csv:  100 %\n\rtoy.csv: 3.0 MB"


def test_data_home(monkeypatch, tmp_path):
    monkeypatch.delenv("SKFAIR_HOME", raising=False)
    assert get_data_home() == os.path.expanduser("~/skfair_data")
    monkeypatch.setenv("SKFAIR_HOME", str(tmp_path))
    assert get_data_home() == str(tmp_path)
    assert get_data_home("~/x") == os.path.expanduser("~/x")
