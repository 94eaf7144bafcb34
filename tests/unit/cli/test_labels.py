"""Label files in their forms, and the background class."""

from __future__ import annotations

import json

import pytest

from thew.cli.labels import default_labels, offset, read_labels
from thew.errors import InputError


def test_forms(tmp_path):
    files = {
        "a.txt": "cat\ndog\n\n",
        "a.json": json.dumps(["cat", "dog"]),
        "b.json": json.dumps({"0": "cat", "1": ["n01", "dog"]}),
        "a.csv": "file,label,name\nx.jpg,0,cat\ny.jpg,1,dog\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        assert dict(read_labels(tmp_path / name)) == {0: "cat", 1: "dog"}


@pytest.mark.parametrize(
    ("name", "text"), [("a.json", "3"), ("a.json", "{"), ("a.csv", "x,y\n1,2\n"), ("b.csv", "label,name\nq,z\n")]
)
def test_other_forms_are_refused(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match="must map class numbers to names"):
        read_labels(tmp_path / name)


def test_a_background_class_shifts_labels_that_lack_it():
    thousand = {index: str(index) for index in range(1000)}
    assert offset(1001, thousand) == 1
    assert offset(1001, {}) == 1
    assert offset(1000, thousand) == 0
    assert offset(1001, {**thousand, 1000: "1000"}) == 0


def test_imagenets_names_come_by_themselves():
    names = default_labels(1000)
    assert names == default_labels(1001)
    assert (len(names), len(set(names.values()))) == (1000, 999)  # a bird and a machine are both a crane
    assert [names[index] for index in (0, 2, 207, 281, 388, 508, 779, 817, 954, 999)] == [
        "tench",
        "great white shark",
        "golden retriever",
        "tabby",
        "giant panda",
        "computer keyboard",
        "school bus",
        "sports car",
        "banana",
        "toilet tissue",
    ]
    assert default_labels(10) == {}


def test_imagenets_names_are_those_of_the_pictures(shared_data):
    import csv

    names = default_labels(1000)
    with (shared_data / "images" / "imagenet500.csv").open() as file:
        rows = list(csv.DictReader(file))

    def plain(name):
        return name.lower().replace("-", " ").replace("_", " ").split(" (")[0]

    assert [plain(names[int(row["label"])]) for row in rows] == [plain(row["name"]) for row in rows]
