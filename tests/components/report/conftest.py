"""The artifacts of one run, read once for all tests of the page."""

import pytest
import run_artifacts

from components.report import artifacts


@pytest.fixture(scope="session")
def uris(tmp_path_factory):
    """URI by name of INPUTS, as the nodes leave them."""
    return run_artifacts.write_all(tmp_path_factory.mktemp("artifacts"))


@pytest.fixture(scope="session")
def found(uris):
    return artifacts.read(uris, run_artifacts.configuration(), run_artifacts.preset(), "Pretrain 0123456789ab")


@pytest.fixture
def run_json():
    return run_artifacts.run_json()
