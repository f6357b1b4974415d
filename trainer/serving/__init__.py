"""From the bytes of an image file to what ingest makes of them, in operations of TensorFlow's graph: what a served model needs.

`prepared` is components.example_gen.photograph.prepare for the formats that TensorFlow decodes; anything else it refuses by name.
"""

from trainer.serving.prepare import prepared

__all__ = ["prepared"]
