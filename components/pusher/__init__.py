"""Pusher: verifies that blessing, probe and backbone belong together, then registers. The component is `component.py`."""
