"""Where a shared registry can be, and what is said of a server that does not answer; without a server."""

import socket

import pytest

from contracts.layout import Layout
from pipeline_config import ConfigurationError, Registry
from registry import mlflow_backend, server_files
from registry.backend import RegistryError
from registry.opening import open_registry, registry_place


def machine(address, root):
    return open_registry(registry_place(address, Layout.at(str(root))), "flowers-backbone")


@pytest.mark.parametrize("fault", ["is not there", "hangs"])
def test_a_server_that_does_not_answer_is_one_clear_error_without_a_password(tmp_path, monkeypatch, fault):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "a-secret")
    monkeypatch.setattr(mlflow_backend, "REQUESTS", {})
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if fault == "hangs":
            server.listen()
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(RegistryError, match=f"the MLflow server at {address} does not answer as it should") as told:
            machine(address, tmp_path).versions()
    assert "a-secret" not in str(told.value) and len(str(told.value)) < 500


def test_a_server_that_wants_to_know_who_asks_is_told_by_variables_alone(tmp_path, monkeypatch):
    from mlflow.exceptions import RestException

    registry = machine("http://127.0.0.1:1", tmp_path)

    def refuses(_):
        raise RestException({"error_code": "PERMISSION_DENIED", "message": "Permission denied"})

    monkeypatch.setattr(registry._client, "get_registered_model", refuses)
    with pytest.raises(RegistryError, match="refused: PERMISSION_DENIED.*; MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING"):
        registry.versions()


@pytest.mark.parametrize("place", [
    "sqlite:///registry.db", "localhost:5000", "http://", "http://host:5000/path", "http://me:secret@host", "off",
])  # fmt: skip
def test_a_place_that_is_no_server_is_refused(place):
    with pytest.raises(ConfigurationError, match=r"registry.place must be http\(s\)://HOST:PORT"):
        Registry(place=place)


def test_no_address_that_a_server_states_sends_a_password_to_another_machine():
    # A password would go with the request.
    for address in ("mlflow-artifacts://elsewhere.example:80/a", "file:///etc", "/etc", "s3://bucket/version", "http://a/b"):
        with pytest.raises(RegistryError, match="the files are at .*, and not on the MLflow server at http://here:1 itself"):
            server_files.ServerFiles("http://here:1", address)


def test_copies_and_keys_are_below_dir_and_of_one_server_each(tmp_path):
    one, other = (machine(f"http://host:{port}", tmp_path) for port in (1, 2))
    assert one.keys == other.keys == str(tmp_path / "keys")
    assert one.files_path("a").startswith(str(tmp_path / "copies")) and one.files_path("a") != other.files_path("a")
    assert machine("http://host:1/", tmp_path).place == "http://host:1"
