"""examples/live_config does what it says."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

DEMO = Path(__file__).parent.parent.parent / "examples" / "live_config" / "demo.py"
LIMIT = 300.0
"""Seconds; far more than it needs."""


async def test_settings_change_while_the_service_runs() -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith("MICRO_")}
    demo = await asyncio.create_subprocess_exec(
        sys.executable, str(DEMO), env=own, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(LIMIT):
            output = (await demo.communicate())[0].decode()
    finally:
        if demo.returncode is None:
            demo.kill()
            await demo.communicate()
    assert demo.returncode == 0, output
    for line in (
        "order 1 for Hamlet   ->  FailedPrecondition: Hamlet is sold out",
        "order 4 for Macbeth  ->  InvalidArgument: at most 2 tickets in one order",
        "order 4 for Macbeth  ->  4 tickets for Macbeth",
        "limits.per_ordr (conf/limits.toml:2) is no setting of Limits; did you mean per_order?",
        "order 8 for Macbeth  ->  8 tickets for Macbeth",
        "* limits.per_order = 8  (conf/limits.toml:2)",
        '* limits.sold_out = "Hamlet,Faust"  (TICKETS_LIMITS__SOLD_OUT)',
        "the server left with exit code 0",
    ):
        assert line in output, output
    assert output.count("an update of the configuration is not used") == 1
