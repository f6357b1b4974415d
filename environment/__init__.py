"""Set-up of the project: `make setup` makes .venv. Uses the standard library only, for it runs before anything is installed."""
