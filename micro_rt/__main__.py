"""``python -m micro_rt``: the ``micro-rt`` command."""

from __future__ import annotations

import sys

from micro_rt.cli.main import main

sys.exit(main())
