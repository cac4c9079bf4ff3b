"""The example runs, and says what it should."""

from __future__ import annotations

import sys

from tests.codegen.tools import ROOT, run


def test_example() -> None:
    said = run(sys.executable, "-W", "error", ROOT / "examples" / "betterproto" / "demo.py").stdout
    assert said.splitlines() == [
        "p-1 is SENT, since 24.11.2026 09:30",
        "it goes to ('locker', '12b')",
        "it stopped at ['Lyon', 'Turin']",
        '{"id": "p-1", "stage": "STAGE_SENT", "sent": "2026-11-24T09:30:00Z", "stops": [{"place": "Lyon"}, {"place": "Turin"}], "locker": "12b"}',
    ]
