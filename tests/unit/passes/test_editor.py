import numpy as np
import pytest

from thew.ir import Node, TensorType, verify
from thew.passes.editor import Editor

TEXT = """
    graph g(%x: fp64[2]) -> (%d, %e) {
      const %c: fp64[1] = [1.0]
      %a: fp64[2] = exp(%x)
      %b: fp64[2] = identity(%a)
      %d: fp64[2] = add(%b, %a)
      %e: fp64[2] = mul(%b, %c)
    }
    """


@pytest.fixture
def editor(read_graph):
    return Editor(read_graph(TEXT))


def node(editor, output):
    found = editor.producer(output)
    assert found is not None
    return found


def test_reads_follow_what_is_forwarded(editor):
    assert (editor.reads("a"), editor.reads("b")) == (2, 2)
    assert editor.forward(node(editor, "b"), "a")
    assert editor.reads("a") == 3
    assert not editor.is_private("a") and editor.resolve("b") == "a"


def test_private_means_one_read_and_a_free_name(editor):
    editor.put(node(editor, "e"), Node("neg", ("c",), ("e",)))
    assert editor.reads("b") == 1 and editor.is_private("b")
    assert editor.reads("d") == 0 and not editor.is_private("d")
    editor.drop(node(editor, "b"))
    assert editor.is_private("a")


def test_pinned_names_are_not_substituted(editor):
    assert not editor.substitute(node(editor, "d"), ("x",))
    assert node(editor, "d").op == "add"


def test_a_pinned_name_moves_to_the_producer(editor):
    editor.put(node(editor, "e"), Node("identity", ("b",), ("e",)))
    assert editor.forward(node(editor, "e"), "b")
    graph = editor.graph()
    verify(graph)
    assert [(item.op, item.inputs, item.outputs) for item in graph.nodes] == [
        ("exp", ("x",), ("a",)),
        ("identity", ("a",), ("e",)),
        ("add", ("e", "a"), ("d",)),
    ]
    assert graph.types["e"] == TensorType("fp64", (2,))


def test_walk_shows_nodes_as_they_read_by_now(editor):
    seen = []
    for item in editor.walk():
        seen.append(item.inputs)
        if item.op == "identity":
            editor.forward(item, item.inputs[0])
    assert seen == [("x",), ("a",), ("a", "a"), ("a", "c")]


def test_types_of_new_values_are_inferred(editor):
    editor.put(node(editor, "e"), Node("unsqueeze", ("b", editor.add_constant([0], "axes")), ("u",)), node(editor, "e"))
    assert editor.type_of("u") == TensorType("fp64", (1, 2))
    assert editor.static_shape("axes") == (1,)


def test_fresh_names_are_taken_at_once(editor):
    assert [editor.fresh("x"), editor.fresh("x"), editor.fresh("new"), editor.fresh("new")] == [
        "x_1",
        "x_2",
        "new",
        "new_1",
    ]
    assert editor.add_constant(np.zeros(1), "c") == "c_1"


def test_numbers_and_integers(editor):
    names = [
        editor.add_constant(array, "k") for array in (np.array([2]), np.array(1.5), np.array(["t"], object), np.ones(2))
    ]
    assert [editor.number(name) for name in names] == [2.0, 1.5, None, None]
    assert [editor.integers(name) for name in names] == [(2,), None, None, None]
    assert editor.number("x") is None and editor.integers("") is None


def test_nothing_changed_is_the_same_object(read_graph):
    graph = read_graph(TEXT)
    assert Editor(graph).graph() is graph
