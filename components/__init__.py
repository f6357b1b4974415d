"""The pipeline's own TFX components, one folder each, and what they share: artifact types and errors."""
