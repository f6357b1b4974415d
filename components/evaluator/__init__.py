"""Evaluator: measures the probe, the random-init baseline and the champion, and judges the probe; see `component.py`."""
