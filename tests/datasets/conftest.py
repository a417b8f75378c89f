"""What the data set tests share: an isolated home, a local server, the real data if there are any."""

import contextlib
import functools
import http.server
import os
import threading
from pathlib import Path

import pytest


@pytest.fixture
def real(tmp_path, monkeypatch):
    """The loaders find the real data in SKFAIR_DATA and nothing in the cache; no download."""
    if not os.environ.get("SKFAIR_DATA"):
        pytest.skip("needs real data: the environment variable SKFAIR_DATA names no folder")
    monkeypatch.setenv("SKFAIR_HOME", str(tmp_path / "home"))
    return {"download_if_missing": False}


@pytest.fixture
def isolated(tmp_path, monkeypatch):
    """A cache of its own, no SKFAIR_DATA, no waiting between retries; gives the cache folder."""
    monkeypatch.delenv("SKFAIR_DATA", raising=False)
    monkeypatch.setenv("SKFAIR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("skfair.datasets._fetch.time.sleep", lambda seconds: None)
    return tmp_path / "home"


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; /flaky/NAME fails twice first, /short/NAME announces more than it sends, /half/NAME sends half of it
    and waits for the test with the rest."""

    requests: list
    rest: threading.Event
    failures = 2

    def do_GET(self):
        self.requests.append(self.path)
        kind, _, rest = self.path.lstrip("/").partition("/")
        if kind == "flaky":
            if self.requests.count(self.path) <= self.failures:
                return self.send_error(503)
            self.path = "/" + rest
        elif kind == "short":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            return self.wfile.write(b"half a file")
        elif kind == "half":
            return self.send_in_two(Path(self.directory, rest).read_bytes())
        return super().do_GET()

    def send_in_two(self, content):
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        with contextlib.suppress(OSError):  # who asked may be dead
            self.wfile.write(content[: len(content) // 2])
            self.rest.wait(60)
            self.wfile.write(content[len(content) // 2 :])

    def log_message(self, *args):
        """Silence."""


@pytest.fixture
def server(tmp_path):
    """Serves tmp_path/site at server.url; server.requests lists the paths asked for, server.rest lets second halves go."""
    site = tmp_path / "site"
    site.mkdir()
    handler = type("Handler", (_Handler,), {"requests": [], "rest": threading.Event()})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(site))) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        httpd.url = f"http://127.0.0.1:{httpd.server_port}"
        httpd.site, httpd.requests, httpd.rest = site, handler.requests, handler.rest
        yield httpd
        handler.rest.set()
        httpd.shutdown()
        thread.join()
