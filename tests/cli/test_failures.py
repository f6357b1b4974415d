"""From an exception to an exit status and a paragraph."""

import pytest

from cli import run
from cli.arguments import ExitStatus
from components.errors import DataRefused, SourceNotFound
from pipeline.whole_run import paragraph, status_of
from pipeline_config import ConfigurationError


@pytest.mark.parametrize(("error", "status", "number"), [
    (DataRefused("too many"), "refused", 3),
    (SourceNotFound("no such folder"), "failed", 2),
    (ConfigurationError("batch too large"), "failed", 2),
    (RuntimeError("out of memory"), "failed", 1),
    (KeyboardInterrupt(), "interrupted", 130),
])  # fmt: skip
def test_each_kind_of_error_has_its_exit_status(error, status, number):
    assert (status_of(error), run.exit_status(error)) == (status, number)


def test_our_own_error_is_found_below_what_libraries_wrap_around_it():
    # Beam raises its own error from the one that a worker raised.
    try:
        try:
            raise DataRefused("class 'rose' has no photograph")
        except DataRefused as refused:
            raise RuntimeError("while running 'Map'\n" * 50) from refused
    except RuntimeError as error:
        wrapped = error
    assert run.exit_status(wrapped) == ExitStatus.DATA_REFUSED
    assert paragraph(wrapped) == "class 'rose' has no photograph"


def test_a_library_s_error_is_one_paragraph_with_its_type():
    text = paragraph(ValueError("first line\n\n  second\tline\n" + "x" * 5000))
    assert text.startswith("ValueError: first line second line x") and "\n" not in text
    assert len(text) < 700
