"""Pusher: verifies blessing, probe and backbone against each other, then registers the backbone. The component is `component.py`."""
