"""Finding, checking, caching and downloading files; the network is a server on this machine."""

import contextlib
import errno
import gzip
import hashlib
import io
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from skfair import datasets
from skfair.datasets import ChecksumError, DatasetUnavailableError, _fetch, get_data_home
from skfair.datasets._fetch import RemoteFile, _store, default_progress, resolve

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


@contextlib.contextmanager
def ordinary_user():
    """Permissions do not bind root: somebody else for a while."""
    if os.geteuid() != 0:
        yield
        return
    try:
        os.seteuid(65534)
    except OSError:
        pytest.skip("root here cannot become anybody else")
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.name == "nt", reason="folders have no such permissions")
def test_read_only_home(monkeypatch, server, file):
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are not to be seen by others
        os.chmod(name, 0o555)
        monkeypatch.setenv("SKFAIR_HOME", name)
        monkeypatch.delenv("SKFAIR_DATA", raising=False)
        with ordinary_user(), pytest.raises(DatasetUnavailableError) as error:
            resolve(file, data_home=name)
    for part in (
        f"cannot write to the cache folder {name}/toy",
        "Permission denied",
        "toy.csv",
        "data_home",
        "SKFAIR_DATA",
    ):
        assert part in str(error.value)
    assert server.requests == []


@contextlib.contextmanager
def room_for(n_bytes):
    """No file may grow longer than this."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("packed", [False, True], ids=["file", "member of a zip"])
def test_no_room(isolated, server, file, packed):
    """The disk's errors are no reason to ask again, and nothing of the file remains."""
    (server.site / "small.zip").write_bytes(zipped({"toy.csv": CONTENT}))  # itself it would fit
    wanted = replace(file, url=f"{server.url}/small.zip", member="toy.csv") if packed else file
    with room_for(len(CONTENT) // 2), pytest.raises(DatasetUnavailableError) as error:
        resolve(wanted)
    for part in (f"cannot write to the cache folder {isolated / 'toy'}", "toy.csv", "Free some space", "SKFAIR_HOME"):
        assert part in str(error.value)
    assert error.value.__cause__.errno == errno.EFBIG
    assert stored(isolated) == []
    assert len(server.requests) == 1
    assert resolve(wanted)[0].read_bytes() == CONTENT  # with room


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk(tmp_path):
    with pytest.raises(
        DatasetUnavailableError, match=f"cannot write to the cache folder {tmp_path}.*Free some"
    ) as error:
        _store([CONTENT], "/dev/full", tmp_path / "toy.csv")
    assert error.value.__cause__.errno == errno.ENOSPC


def zipped(members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in members.items():
            bundle.writestr(name, content)
    return out.getvalue()


def with_damage(content, where):
    """One byte of it is another one."""
    return content[:where] + bytes([content[where] ^ 0xFF]) + content[where + 1 :]


@pytest.mark.parametrize("where", [45, 60, 80])
def test_a_damaged_zip_is_not_stored(isolated, server, file, where):
    """Also where no digest is known: a member of an archive is whole, or not there."""
    (server.site / "bad.zip").write_bytes(with_damage(zipped({"toy.csv": CONTENT}), where))
    with pytest.raises(ChecksumError, match="did not send a whole zip file: .*; nothing was stored"):
        resolve(replace(file, url=f"{server.url}/bad.zip", member="toy.csv", sha256=frozenset()))
    assert stored(isolated) == []


@pytest.mark.parametrize("digests", [frozenset({DIGEST}), frozenset()], ids=["digest", "no digest"])
@pytest.mark.parametrize("where", [12, 40, -6, "cut"])
def test_a_damaged_gz_is_refused(isolated, file, digests, where):
    """Bytes changed in the middle or in the checksum, or missing: zlib has another error for each."""
    (isolated / "toy").mkdir(parents=True)
    content = gzip.compress(CONTENT)
    damaged = content[:-20] if where == "cut" else with_damage(content, where % len(content))
    (isolated / "toy" / "toy.csv.gz").write_bytes(damaged)
    with pytest.raises(ChecksumError, match=r"toy.csv.gz is not a whole gzip file .* left in place. Move it away"):
        resolve(replace(file, sha256=digests))
    assert (isolated / "toy" / "toy.csv.gz").read_bytes() == damaged


CACHED = {
    "fetch_adult": "adult/adult.data",
    "fetch_bank_marketing": "bank_marketing/bank.zip",
    "fetch_civil_comments": "civil_comments/all_data_with_identities.csv",
    "fetch_compas": "compas/compas-scores-two-years.csv",
    "fetch_credit_default": "credit_default/credit-card-clients.csv",
    "fetch_german_credit": "german_credit/german.data",
    "fetch_hatexplain": "hatexplain/dataset.json",
    "fetch_meps": "meps/h181.ssp",
    "fetch_multinli": "multinli/multinli_1.0.zip",
    "fetch_snli": "snli/snli_1.0.zip",
    "fetch_south_german_credit": "south_german_credit/SouthGermanCredit.asc",
}


def test_all_loaders_that_download_are_below():
    local = {"fetch_celeba", "fetch_fairface", "fetch_utkface"}
    assert {name for name in datasets.__all__ if name.startswith("fetch_")} - local == set(CACHED)


@pytest.mark.parametrize("name", CACHED)
@pytest.mark.parametrize("content", [b"", b"age,sex\n39,Ma", bytes(range(256)) * 40], ids=["empty", "half", "damaged"])
def test_every_loader_refuses_another_file_in_the_cache(isolated, name, content):
    path = isolated / CACHED[name]
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(ChecksumError, match=f"(?s){path.name} .*left in place"):
        getattr(datasets, name)(download_if_missing=False)
    assert path.read_bytes() == content


BIG = CONTENT * 10  # several chunks
FETCH = """
import sys
sys.path.insert(0, sys.argv[1])
from _fetch import RemoteFile, resolve  # alone: it imports nothing of the rest, which takes seconds

print(resolve(RemoteFile("toy", "big.csv", sys.argv[2], sha256=frozenset({sys.argv[3]})))[0])
"""


@pytest.fixture
def big(server):
    """A file of which the server sends the second half when the test says so."""
    (server.site / "big.csv").write_bytes(BIG)
    return RemoteFile(
        "toy", "big.csv", f"{server.url}/half/big.csv", sha256=frozenset({hashlib.sha256(BIG).hexdigest()})
    )


def another_process(file):
    command = [sys.executable, "-c", FETCH, str(Path(_fetch.__file__).parent), file.url, *file.sha256]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited for a minute"
        threading.Event().wait(0.02)  # time.sleep is switched off


def halves(folder):
    """Files of which something has arrived."""
    return [path for path in folder.rglob("*.part") if path.stat().st_size]


def test_two_processes_at_once(isolated, server, big):
    processes = [another_process(big) for _ in range(2)]
    wait_for(lambda: len(halves(isolated)) == 2)  # both are in the middle of it
    assert "big.csv" not in stored(isolated)
    server.rest.set()
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        assert out.strip() == str(isolated / "toy" / "big.csv")
    assert stored(isolated) == ["big.csv"]
    assert (isolated / "toy" / "big.csv").read_bytes() == BIG


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_killed_in_the_middle(isolated, server, big):
    process = another_process(big)
    wait_for(lambda: halves(isolated))
    os.kill(process.pid, signal.SIGKILL)
    assert process.communicate(timeout=60)[0] == ""
    assert process.returncode == -signal.SIGKILL
    (half,) = halves(isolated)  # there was no time to tidy up
    assert half.stat().st_size < len(BIG)
    with pytest.raises(DatasetUnavailableError):
        resolve(big, download_if_missing=False)  # it is taken for nothing
    server.rest.set()
    assert resolve(big)[0].read_bytes() == BIG


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
