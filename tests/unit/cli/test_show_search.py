"""What the summary of a search says of accuracies: out of bounds is what loses more answers than are allowed."""

from types import SimpleNamespace

import pytest

from thew.cli.show_search import _accuracy_of
from thew.compress.accuracy import Accuracy
from thew.search.result import Point


def point(right):
    return Point("one", 1.0, None, 1, 1, None if right is None else Accuracy(right, 200))


@pytest.mark.parametrize(
    ("right", "most", "said"),
    [(178, 0.01, "89.0 %"), (177, 0.01, "88.5 % ✗"), (177, None, "88.5 %"), (181, 0.0, "90.5 %"), (None, None, "")],
)
def test_an_accuracy_is_marked_where_it_is_out_of_bounds(right, most, said):
    found = SimpleNamespace(default=point(180), settings={"max_accuracy_drop": most})
    assert _accuracy_of(point(right), found) == said
