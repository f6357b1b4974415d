"""Pusher: verifies that blessing, probe and backbone belong together, then registers the backbone; see `component.py`."""
