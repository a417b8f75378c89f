"""Find, check, cache and download the files behind the loaders.

A loader describes a file as a :class:`RemoteFile` and asks :func:`resolve` for a
local path. Checksums are those of the *uncompressed* content, so that a file may
lie as ``adult.data`` or repacked as ``adult.data.gz``.
"""

import gzip
import hashlib
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

_CHUNK = 1 << 16


class DatasetUnavailableError(OSError):
    """A data set's file is neither stored locally nor can it be downloaded."""


class ChecksumError(OSError):
    """A file's content is not the one that the loader was written for."""


@dataclass(frozen=True)
class RemoteFile:
    """One file of a data set: where it may lie, where it officially comes from.

    Parameters
    ----------
    folder : str
        Folder of the data set below ``data_home`` or ``SKFAIR_DATA``.
    name : str
        Name under which a download is stored; ``name + ".gz"`` is accepted too.
    url : str
        Official address: of the file, or of a zip archive that holds ``member``.
    member : str or None
        Name inside the zip archive; ``None`` if ``url`` is the file itself.
    sha256 : frozenset of str
        Accepted digests of the uncompressed content; empty: no digest is known
        and the loader checks the parsed content instead.
    mirrors : tuple of str
        Further official addresses, tried if `url` does not answer.
    """

    folder: str
    name: str
    url: str
    member: str | None = None
    sha256: frozenset = frozenset()
    mirrors: tuple = ()

    def locate(self, home):
        """Path of the file below `home`, or None; `home` may be the data set's own folder."""
        for folder in (Path(home) / self.folder, Path(home)):
            for name in (self.name, self.name + ".gz"):
                if (folder / name).is_file():
                    return folder / name
        return None


def get_data_home(data_home=None):
    """Return the cache folder of skfair's data sets; it need not exist.

    Parameters
    ----------
    data_home : str or path-like, default=None
        The folder to use. By default the environment variable ``SKFAIR_HOME``,
        and ``~/skfair_data`` if that is not set.

    Returns
    -------
    data_home : str
        Absolute path, ``~`` expanded.

    Examples
    --------
    >>> from skfair.datasets import get_data_home
    >>> get_data_home("/tmp/somewhere")
    '/tmp/somewhere'
    """
    if data_home is None:
        data_home = os.environ.get("SKFAIR_HOME") or Path("~") / "skfair_data"
    return os.path.abspath(os.path.expanduser(data_home))


def resolve(file, *, data_home=None, download_if_missing=True, progress=None, alternatives=()):
    """Path of a checked local copy of `file`, downloaded if need be.

    Looked for in ``data_home`` (if given), the folder in ``SKFAIR_DATA``, the
    cache; `alternatives` (prepared copies that are never downloaded) come before
    `file` in each place. Returns ``(path, file)`` with the file that was found.
    """
    for home in search_path(data_home):
        for candidate in (*alternatives, file):
            path = candidate.locate(home)
            if path is not None:
                return verify(path, candidate.sha256), candidate
    target = Path(get_data_home(data_home)) / file.folder / file.name
    if not download_if_missing:
        raise DatasetUnavailableError(_advice(file, target, data_home, "download_if_missing=False"))
    return _download(file, target, data_home, progress or default_progress), file


def search_path(data_home=None):
    """The folders to look in, in this order, without repetition."""
    homes = [data_home, os.environ.get("SKFAIR_DATA"), get_data_home()]
    return list(dict.fromkeys(get_data_home(home) for home in homes if home))


def open_uncompressed(path):
    """Open a plain or gzip-compressed file for reading bytes."""
    return gzip.open(path, "rb") if str(path).endswith(".gz") else open(path, "rb")


def sha256sum(path):
    """Sha256 of the uncompressed content of `path`, as a hexadecimal string."""
    digest = hashlib.sha256()
    with open_uncompressed(path) as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def verify(path, expected):
    """Return `path` if its content has one of the `expected` digests; if none is known, if a gzip file is whole."""
    if not expected and not str(path).endswith(".gz"):
        return path
    try:
        found = sha256sum(path)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ChecksumError(f"{path} is not a whole gzip file ({error}); it was left in place. {_REMOVE}") from error
    if expected and found not in expected:
        raise ChecksumError(
            f"{path} has sha256 {found} (of the uncompressed content), expected {' or '.join(sorted(expected))}; "
            f"it was left in place. {_REMOVE}"
        )
    return path


_REMOVE = "Move it away to have the official file downloaded, or replace it by the right one."


def default_progress(done, total, name):
    """Write the progress of a download on stderr if that is a terminal."""
    if not sys.stderr.isatty():
        return
    share = f"{100 * done / total:4.0f} %" if total else f"{done / 1e6:.1f} MB"
    sys.stderr.write(f"\r{name}: {share}")
    if total and done >= total:
        sys.stderr.write("\n")
    sys.stderr.flush()


def _download(file, target, data_home, progress, n_retries=3, delay=1.0, timeout=30.0):
    """Download to a temporary file next to `target`, check it, put it in place at once."""
    temporary = _temporary_next_to(target)
    try:
        _retrieve_with_retries(file, target, data_home, temporary, progress, n_retries, delay, timeout)
        if file.member is not None:
            _extract_member(file, temporary, target)
        _verify_download(temporary, file)
        with _writing(target):
            os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


@contextmanager
def _writing(target):
    """Errors of the disk (full, read-only, no folder), told apart from those of the network: no retry helps."""
    try:
        yield
    except OSError as error:
        raise DatasetUnavailableError(
            f"cannot write to the cache folder {target.parent} ({error}): {target.name} was not stored. Free some space, "
            f"pass data_home= or set SKFAIR_HOME to a folder that can be written to, or put the file into a folder named "
            f"by SKFAIR_DATA"
        ) from error


def _temporary_next_to(target):
    """A fresh file, unique to this process, in the (created) folder of `target`."""
    with _writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f"{target.name}.{uuid.uuid4().hex}.part")
        temporary.open("xb").close()  # unlike tempfile, with the user's usual permissions: caches are shared
    return temporary


def _store(chunks, path, target):
    """Write all chunks; what the disk refuses, it refuses here and not at a later closing of the file."""
    with open(path, "wb", buffering=0) as out:
        for chunk in chunks:
            with _writing(target):
                while chunk:  # a disk that is nearly full takes a part
                    chunk = chunk[out.write(chunk) :]
        with _writing(target):
            os.fsync(out.fileno())  # else a power cut may leave an empty file under the right name


def _retrieve_with_retries(file, target, data_home, temporary, progress, n_retries, delay, timeout):
    """Try each address up to `n_retries` times, waiting in between; the last error ends it."""
    failure = None
    for url in (file.url, *file.mirrors):
        for attempt in range(n_retries):
            try:
                return _store(_received(url, progress, timeout), temporary, target)
            except DatasetUnavailableError:
                raise  # the disk's
            except (OSError, HTTPException) as error:  # URLError and HTTPError are OSErrors
                failure = error
            if isinstance(failure, urllib.error.HTTPError):
                failure.close()
                if failure.code in (401, 403, 404, 410):
                    break  # it will not come back
            if attempt < n_retries - 1:
                time.sleep(delay * 2**attempt)
    raise DatasetUnavailableError(_advice(file, target, data_home, failure)) from failure


def _received(url, progress, timeout):
    """The chunks of one attempt; a body shorter than announced is an error."""
    request = urllib.request.Request(url, headers={"User-Agent": "skfair"})
    with urllib.request.urlopen(request, timeout=timeout) as response:
        total = int(response.headers.get("Content-Length") or 0)
        done = 0
        while chunk := response.read(_CHUNK):
            done += len(chunk)
            progress(done, total, url.rsplit("/", 1)[-1])
            yield chunk
    if total and done != total:
        raise OSError(f"got {done} bytes of {total} announced")


def _extract_member(file, archive, target):
    """Replace the zip file `archive` by its member, in place."""
    inside = archive.with_suffix(".member")
    try:
        with zipfile.ZipFile(archive) as bundle, bundle.open(_member_name(bundle, file)) as stream:
            _store(iter(lambda: stream.read(_CHUNK), b""), inside, target)
        with _writing(target):
            os.replace(inside, archive)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ChecksumError(f"{file.url} did not send a whole zip file: {error}; nothing was stored") from error
    finally:
        inside.unlink(missing_ok=True)


def _member_name(bundle, file):
    for name in bundle.namelist():
        if name.rsplit("/", 1)[-1].lower() == file.member.lower():
            return name
    raise ChecksumError(f"{file.url} holds {bundle.namelist()}, expected a member named {file.member!r}")


def _verify_download(temporary, file):
    found = sha256sum(temporary)
    if file.sha256 and found not in file.sha256:
        raise ChecksumError(
            f"{file.url} sent a file with sha256 {found}, expected {' or '.join(sorted(file.sha256))}; "
            f"nothing was stored. The official file may have changed: please report it"
        )


def _advice(file, target, data_home, reason):
    what = f"the file {file.member} of {file.url}" if file.member else file.url
    looked = ", ".join(search_path(data_home))
    return (
        f"{file.folder}/{file.name} was not found in {looked} and could not be downloaded ({reason}). "
        f"Put {what} to {target}, or into a folder laid out as FOLDER/{file.folder}/{file.name} (or {file.name}.gz) "
        f"and name FOLDER in the environment variable SKFAIR_DATA or in data_home="
    )
