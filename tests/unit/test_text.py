"""Names that are nearly the same."""

from __future__ import annotations

import pytest

from micro_rt.text import near


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("laboratry", "laboratory"),
        ("Lab", "lab"),
        ("shop.order.v1", "shop.orders.v1"),
        ("shop.orders.v1", "shop.orders.v2"),
        ("/lab.Lab/Axt", "/lab.Lab/Act"),
        ("/lab.Lab/SayHelol", "/lab.Lab/SayHello"),
    ],
)
def test_a_misspelling_is_near(name: str, other: str) -> None:
    assert near(name, ["something.else", other]) == [other]


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("shop.inventory.v1", "shop.orders.v1"),
        ("/shop.v1.Orders/Create", "/shop.v1.Orders/Cancel"),
        ("/shop.v1.Orders/Create", "/shop.v1.Orders/Delete"),
        ("lab", "laboratory"),
        ("a", "b"),
        ("", "orders"),
    ],
)
def test_another_name_is_not_near_however_much_surrounds_it(name: str, other: str) -> None:
    assert near(name, [other]) == []


def test_the_nearest_names_come_first_and_no_more_than_asked_for() -> None:
    assert near("orders", ["border", "order", "orders-x", "orders"], 2) == ["orders", "order"]
