"""Evaluator: measures the probe beside the random-init baseline and the champion, and judges it. The component is `component.py`."""
