"""`python -m pipeline` is `flowers`."""

from pipeline.command_line import main

raise SystemExit(main())
