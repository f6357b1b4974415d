"""Opens the registry at a place; the only file that knows all backends."""

from contracts.layout import Layout
from registry.backend import Backend
from registry.mlflow_backend import MlflowBackend


def registry_place(shared: str, layout: Layout) -> str:
    """The place of the registry that runs below `layout` use, as `open_registry` takes it.

    Args:
      shared: pipeline_config.Registry.place: the address of an MLflow server; "": the registry of DIR.
    """
    return f"{shared.rstrip('/')}#{layout.root}" if shared else str(layout.registry)


def is_shared(place: str) -> bool:
    """Whether `registry_place` returned the place of a server."""
    return place.startswith(("http://", "https://"))


def open_registry(place: str, name: str) -> Backend:
    """The registered model `name` at `place`. Cheap: nothing is read, created or connected to yet.

    Args:
      place: what `registry_place` or `vertex_backend.vertex_place` returned; DIR/registry for the registry of DIR.
      name: pipeline_config.Registry.name.

    Raises:
      RegistryError: no backend can keep a registry there.
    """
    if place.startswith("vertex://"):
        from registry.vertex_backend import VertexBackend  # imports Google's libraries

        return VertexBackend.at(place, name)
    if is_shared(place):
        from registry.server_backend import MlflowServerBackend

        server, _, root = place.partition("#")
        return MlflowServerBackend(server, root, name)
    return MlflowBackend(place, name)
