"""The TFX component that reports how a run on Vertex AI ended."""
