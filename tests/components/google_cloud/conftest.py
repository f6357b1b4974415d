"""A local server in Google's place, for a test at a time."""

import pytest
from google_server.operations import Operations
from google_server.pipelines import PipelineService
from google_server.schedules import ScheduleService
from google_server.server import Server

from components.google_cloud import client


@pytest.fixture
def server(monkeypatch):
    operations = Operations()
    running = Server(PipelineService(), ScheduleService(operations), operations)
    monkeypatch.setenv(client.EMULATOR, running.address)
    # What a test waits for is attempts, not time.
    monkeypatch.setattr(client, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(client, "LONGEST_WAIT", 0.02)
    yield running
    running.stop()
