"""`python -m hexdag_lab` is the command `hexdag-lab`."""

from .cli import main

raise SystemExit(main())
