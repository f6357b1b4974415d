"""The bill of materials is valid CycloneDX, names what is installed, and is the same for the same environment."""

import importlib.metadata
import json

import numpy as np
import pytest

from components.pusher import sbom


@pytest.fixture(scope="module")
def text():
    return sbom.bill_of_materials()


# Its schema is compiled for a second.
@pytest.mark.slow
def test_it_is_valid_by_cyclonedx_s_own_schema(text):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text.replace('"library"', '"a library"')) is not None


def test_it_names_every_package_with_its_version_and_what_it_requires(text):
    bill = json.loads(text)
    found = {one["name"]: one for one in bill["components"]}
    assert found["numpy"]["version"] == np.__version__
    assert found["numpy"]["purl"] == f"pkg:pypi/numpy@{np.__version__}"
    installed = {one.name.lower().replace("_", "-").replace(".", "-") for one in importlib.metadata.distributions()} - {"flowers"}
    assert found.keys() >= installed
    requires = {one["ref"]: one.get("dependsOn", []) for one in bill["dependencies"]}
    assert found["numpy"]["purl"] in requires[found["scipy"]["purl"]]
    assert {one["type"] for one in found.values()} == {"library", "platform", "operating-system"}


def test_it_is_the_same_for_the_same_environment_and_says_no_time(text):
    assert sbom.bill_of_materials.__wrapped__() == text
    bill = json.loads(text)
    assert "serialNumber" not in bill and "timestamp" not in bill["metadata"]
