"""The threat model is where a reader looks for it."""

from __future__ import annotations

import re

import pytest

from tests.docs import ROOT, links

PAGE = "docs/security.md"


@pytest.mark.parametrize(
    "page",
    [*(f"docs/{name}.md" for name in ("consul", "etcd", "kafka", "mdns", "local", "postgresql")), "SECURITY.md"],
)
def test_the_page_of_each_engine_links_the_threat_model(page: str) -> None:
    assert PAGE in [link.path for link in links(page)]


def test_the_threat_model_says_what_it_has_to() -> None:
    text = (ROOT / PAGE).read_text()
    assert "Whoever may write the registry receives the calls" in text
    assert "Every process of the same user may read and change `local:`" in text
    assert "SECURITY.md" in [link.path for link in links(PAGE)]
    rights = text.partition("## Which rights each engine needs")[2].partition("\n## ")[0]
    for engine in ("consul:", "etcd:", "kafka:", "mdns:", "local:", "memory:"):
        assert re.search(rf"^\| `{engine}` \|.*\|.*\|", rights, re.MULTILINE), engine


def test_how_to_report_a_vulnerability_is_said() -> None:
    assert re.search(r"report", (ROOT / "SECURITY.md").read_text(), re.IGNORECASE)
