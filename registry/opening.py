"""From the place of a registry to the backend that keeps it: the one file that knows which backends there are."""

from registry.backend import Backend
from registry.mlflow_backend import MlflowBackend


def open_registry(place: str, name: str) -> Backend:
    """The registered model `name` at `place`. Cheap: nothing is read, made or connected to yet.

    Args:
      place: a directory of this machine (DIR/registry), which holds MLflow's registry, or what `vertex_backend.vertex_place` gave.
      name: pipeline_config.Registry.name.

    Raises:
      RegistryError: no backend keeps a registry there.
    """
    if place.startswith("vertex://"):
        from registry.vertex_backend import VertexBackend  # imports Google's libraries

        return VertexBackend.at(place, name)
    return MlflowBackend(place, name)
