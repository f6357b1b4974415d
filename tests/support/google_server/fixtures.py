"""Fixtures of a Vertex AI Model Registry: a local server in Google's place, files in ram://. A conftest.py imports them."""

import itertools

import pytest

from google_server.models import ModelService
from google_server.operations import Operations
from google_server.server import Server
from registry.vertex_backend import vertex_place
from vertex import client

FOLDERS = (f"ram://bucket-{number}/registry" for number in itertools.count())  # ram:// outlives a test


@pytest.fixture
def operations():
    return Operations()


@pytest.fixture
def models(operations):
    return ModelService(operations)


@pytest.fixture
def model_server(monkeypatch, models, operations):
    running = Server(models, operations)
    monkeypatch.setenv(client.EMULATOR, running.address)
    # What a test waits for is attempts, not time.
    monkeypatch.setattr(client, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(client, "LONGEST_WAIT", 0.02)
    yield running
    running.stop()


@pytest.fixture
def new_place(model_server):
    """new_place(serving_image=…, kms_key=…) is the place of an empty registry on the server."""
    return lambda **options: vertex_place("a-project", "europe-west4", next(FOLDERS), **options)
