"""What a backend has whose files are read and written where they are kept, without a copy; see `backend.Backend` for each method."""

from registry.backend import Version


class InPlace:
    """`fetch` and `store`, with nothing to do, and `remove`."""

    def fetch(self, version: Version, anew: bool = False) -> None:
        """There is no copy."""

    def store(self, version: Version, signature_alone: bool) -> None:
        """There is no copy."""

    def remove(self, leftover: str) -> None:
        """Deletes a directory."""
        from registry import files  # imports TensorFlow

        files.remove(leftover)
