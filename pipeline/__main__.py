"""`python -m pipeline` is `flowers`."""

from cli.main import main

raise SystemExit(main())
