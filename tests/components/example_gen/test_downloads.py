"""A data set whose host cannot be reached is refused at once, in one line that says what to do; nothing here leaves this machine."""

import http.server
import logging
import pathlib
import socket
import threading
import types

import pytest

from components.errors import SourceNotFound
from components.example_gen import data_set, downloads

NAME = "tiny_flowers"


@pytest.fixture
def nobody(monkeypatch):
    """A port of this machine on which nobody listens."""
    monkeypatch.setattr(downloads, "PAUSE_SECONDS", 0)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield closed.getsockname()[1]


def builder(folder, *urls, prepared=False):
    """As much of a TFDS builder as is asked."""

    def download():
        raise AssertionError("it must not be tried")

    return types.SimpleNamespace(
        url_infos={url: types.SimpleNamespace(checksum=None) for url in urls}, data_dir_root=pathlib.Path(folder),
        data_path=pathlib.Path(folder) / NAME, is_prepared=lambda: prepared, download_and_prepare=download)  # fmt: skip


def test_what_is_tried_is_said_and_a_closed_port_ends_it_in_one_line(tmp_path, monkeypatch, caplog, nobody):
    monkeypatch.setattr(data_set.tfds, "builder", lambda *_, **__: builder(tmp_path, f"http://127.0.0.1:{nobody}/flowers.tgz"))
    with caplog.at_level(logging.INFO), pytest.raises(SourceNotFound) as refused:
        data_set.prepare(NAME)
    assert caplog.messages == [f"Downloading tfds:{NAME} to {tmp_path / NAME}"]
    assert "127.0.0.1" in str(refused.value) and "Connection refused" in str(refused.value) and "\n" not in str(refused.value)
    assert "TFDS_DATA_DIR" in str(refused.value) and f"copy the prepared data set from another machine to {tmp_path / NAME}" in str(
        refused.value
    )


def test_a_proxy_that_cannot_be_reached_is_the_same(tmp_path, monkeypatch, nobody):
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{nobody}")
    assert downloads.unreachable(builder(tmp_path, "https://flowers.invalid/a.tgz")).startswith("flowers.invalid cannot be reached")


def test_a_host_that_takes_a_connection_and_says_nothing_is_given_up(tmp_path, nobody):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a"
        assert "timed out" in downloads.unreachable(builder(tmp_path, url), seconds=0.1)


def test_a_host_that_answers_is_reached_whatever_it_answers(tmp_path, nobody):
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:  # which answers 501 to everything
        server.RequestHandlerClass.log_message = lambda *_: None
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        assert downloads.unreachable(builder(tmp_path, f"http://127.0.0.1:{server.server_port}/a")) == ""
        server.shutdown()


def test_files_that_were_downloaded_before_need_no_host(tmp_path, nobody):
    url = f"http://127.0.0.1:{nobody}/a.tgz"
    asked = builder(tmp_path, url)
    assert downloads.unreachable(asked)
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / downloads.resource.get_dl_fname(url)).touch()
    assert downloads.unreachable(asked) == "" and downloads.unreachable(builder(tmp_path)) == ""
