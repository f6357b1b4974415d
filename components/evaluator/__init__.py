"""Evaluator: measures the probe beside the untrained floor and the champion, and judges it. The component is `component.py`."""
