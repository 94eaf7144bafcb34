"""The cache of measurements: kept, shared, and never believed blindly."""

import json
import sqlite3
import threading

import pytest

from thew.errors import InputError
from thew.runtime.cache import Cache, Measurement

ONE = Measurement("one", 1e-3, 0.1, 5)
ONE_MEASURED = (
    '{"device": "cpu", "version": "1", "measurements": [{"key": "x", "seconds": %s, "spread": 0.0, "samples": 1}]}'
)


def test_what_is_added_is_known_to_others_of_the_device_alone(tmp_path):
    path = tmp_path / "folder" / "cache.sqlite"
    first = Cache("cpu", "1", path)
    first.add([ONE])
    assert Cache("cpu", "1", path).known() == {"one": ONE}
    assert Cache("other", "1", path).known() == {} and Cache("cpu", "2", path).known() == {}
    assert [row[:3] for row in first.summary()] == [("cpu", "1", 1)]


def test_many_write_at_once(tmp_path):
    path = tmp_path / "cache.sqlite"

    def write(number: int) -> None:
        cache = Cache("cpu", "1", path)
        for index in range(20):
            cache.add([Measurement(f"{number}/{index}", 1.0, 0.0, 1)])
        cache.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Cache("cpu", "1", path).known()) == 80


def test_exports_travel(tmp_path):
    source, target = Cache("cpu", "1"), Cache("cpu", "1", tmp_path / "c.sqlite")
    source.add([ONE])
    assert target.merge(source.export()) == 1 and target.known() == {"one": ONE}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        json.dumps({"device": "other", "version": "1", "measurements": []}),
        json.dumps({"device": "cpu", "version": "1", "measurements": [{"key": "x"}]}),
        json.dumps({"device": "cpu", "version": "1", "measurements": [["x", 1.0, 0.0, 1]]}),
        ONE_MEASURED % "-1.0",
        ONE_MEASURED % "NaN",
    ],
)
def test_other_texts_are_refused(text):
    with pytest.raises(InputError):
        Cache("cpu", "1").merge(text)


def test_damage_is_noticed(tmp_path):
    path = tmp_path / "cache.sqlite"
    cache = Cache("cpu", "1", path)
    cache.add([ONE])
    cache.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE measurement SET seconds = 'soon'")
    assert Cache("cpu", "1", path).known() == {}
    path.write_bytes(b"no database" * 100)
    with pytest.raises(InputError, match="must be a cache"):
        Cache("cpu", "1", path)
