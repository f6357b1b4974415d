"""Fixtures for a directory and those below it; they are where they are defined, as others use them too."""

from google_server.fixtures import model_server, models, new_place, operations  # noqa: F401
