"""How the project talks to Google Cloud: `client` makes the calls, `problems` says in plain words why one failed.

The only place that knows of credentials, endpoints and deadlines. Used by `pipeline` (jobs, schedules) and by components.
"""
