"""`flowers report`: where the page of a run is, and the browser that opens it."""

import pytest

from cli import report
from cli.main import main
from contracts.model_files import RUN_PAGE


@pytest.mark.parametrize(("browser", "status"), [(True, 0), (False, 1)])
@pytest.mark.parametrize("words", [[], ["20260101-030000-aaaa"]])
def test_the_page_of_a_run_is_named_and_opened(tmp_path, capsys, monkeypatch, words, browser, status):
    folder = tmp_path / "runs" / "20260101-030000-aaaa"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text('{"status": "finished"}')
    (folder / RUN_PAGE).write_text("a page")
    (tmp_path / "latest").symlink_to(folder)
    opened = []
    monkeypatch.setattr(report.webbrowser, "open", lambda address: opened.append(address) or browser)
    assert main(["report", *words, "--open", "--root", str(tmp_path)]) == status
    assert opened == [(folder / RUN_PAGE).as_uri()]
    printed = capsys.readouterr()
    assert printed.out == f"{folder / RUN_PAGE}\n" and ("no browser" in printed.err) == (not browser)
