"""What is known of an accuracy, and when a candidate is given up."""

import numpy as np
import pytest

from thew.compress.accuracy import Accuracy, Data, is_out, keeps_accuracy
from thew.compress.judge import Answers, Judge
from thew.ir import GraphBuilder


def test_interval_holds_the_share():
    low, high = Accuracy(80, 100).interval
    assert 0.70 < low < 0.8 < high < 0.88
    assert Accuracy(0, 0).interval == (0.0, 1.0)


@pytest.mark.parametrize(("wrong", "kept"), [(0, True), (5, True), (30, False)])
def test_accuracy_beside_the_reference(wrong, kept):
    x, y = np.zeros((200, 3), np.float32), np.zeros(200, np.int64)
    answers = iter(range(200))

    def run(batch):
        return np.stack([[0.0, 1.0] if next(answers) < wrong else [1.0, 0.0] for _ in batch])

    result, counted = keeps_accuracy(run, Data(x, y), 10, np.ones(200, bool), 0.03)
    assert result == kept
    assert counted.asked == (200 if kept else counted.asked) and (kept or counted.asked < 200)


@pytest.mark.parametrize("most_drop", [0.0, 0.01, 0.05])
def test_candidates_at_the_bound_are_rarely_given_up(most_drop):
    """In 400 trials of 1,000 samples; the test may be wrong in one of a thousand."""
    random, wrong = np.random.default_rng(0), 0
    for _ in range(400):
        differs = random.random(1000)
        lost, won = np.cumsum(differs < 0.06 + most_drop), np.cumsum(differs > 0.94)
        wrong += any(is_out(int(lost[n - 1]), int(won[n - 1]), n, most_drop) for n in range(10, 1001, 10))
    assert wrong <= 4


@pytest.mark.parametrize(("drop", "most_asked"), [(0.6, 60), (0.2, 200), (0.05, 2000)])
def test_candidates_that_are_clearly_out_are_given_up_soon(drop, most_asked):
    random = np.random.default_rng(0)
    asked = []
    for _ in range(50):
        differs = random.random(4000)
        lost, won = np.cumsum(differs < 0.02 + drop), np.cumsum(differs > 0.98)
        asked.append(next(n for n in range(10, 4001, 10) if is_out(int(lost[n - 1]), int(won[n - 1]), n, 0.01)))
    assert np.median(asked) <= most_asked


def graph_of(weight):
    builder = GraphBuilder("classes")
    x = builder.input("x", "fp32", ("n", 3))
    return builder.graph([builder.node("matmul", [x, builder.constant(np.asarray(weight, np.float32))])])


def test_a_judge_asks_once(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    x = random.standard_normal((101, 3)).astype(np.float32)
    data = Data(x, x.argmax(1))
    judge = Judge(graph_of(np.eye(3)), data, batch=10, cache=tmp_path / "cache.sqlite")
    assert judge.before == Accuracy(101, 101)
    worse = graph_of(np.diag([1.0, 1.0, 0.5]))
    expected = int(((x * [1, 1, 0.5]).argmax(1) == data.y).sum())
    assert judge.accuracy(worse) == Accuracy(expected, 101)
    kept, found = judge.keeps(graph_of(-np.eye(3)), 0.01)
    assert not kept and found.asked < 101
    monkeypatch.setattr(Judge, "_run", lambda *_: pytest.fail("runs again"))
    again = Judge(graph_of(np.eye(3)), data, batch=7, cache=tmp_path / "cache.sqlite")
    assert again.accuracy(worse) == Accuracy(expected, 101)
    assert again.keeps(worse, 1.0) == (True, Accuracy(expected, 101)) and not again.keeps(worse, 0.0)[0]


def test_damaged_answers_are_asked_again(tmp_path):
    answers = Answers(tmp_path / "cache.sqlite")
    answers.add("model", "data", np.ones(20, bool))
    assert answers.find("model", "data", 20).all() and answers.find("model", "data", 21) is None
    with answers.guarded() as connection:
        connection.execute("UPDATE answers SET answers = 'text'")
    assert answers.find("model", "data", 20) is None
