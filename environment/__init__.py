"""Set-up of the project: `make setup` makes .venv. Uses only the standard library, as it runs before anything is installed."""
