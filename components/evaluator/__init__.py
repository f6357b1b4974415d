"""Evaluator: measures the probe, its baseline and the champion, and judges the probe; see `component.py`."""
