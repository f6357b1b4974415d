"""Opens the registry at a place; the only file that knows all backends."""

from registry.backend import Backend
from registry.mlflow_backend import MlflowBackend


def open_registry(place: str, name: str) -> Backend:
    """The registered model `name` at `place`. Cheap: nothing is read, created or connected to yet.

    Args:
      place: a local directory (DIR/registry) for MLflow's registry, or what `vertex_backend.vertex_place` returned.
      name: pipeline_config.Registry.name.

    Raises:
      RegistryError: no backend can keep a registry there.
    """
    if place.startswith("vertex://"):
        from registry.vertex_backend import VertexBackend  # imports Google's libraries

        return VertexBackend.at(place, name)
    return MlflowBackend(place, name)
