from thew.plan.layouts import batch_innermost_strides, is_batch_innermost, layout_name, plain_strides


def test_batch_innermost_strides():
    assert batch_innermost_strides((16, 3, 5, 7)) == (1, 560, 112, 16)
    assert batch_innermost_strides((8, 3)) == (1, 8)


def test_is_batch_innermost():
    shape = (16, 3, 5, 7)
    assert is_batch_innermost(shape, batch_innermost_strides(shape))
    assert not is_batch_innermost(shape, plain_strides(shape))
    assert not is_batch_innermost(shape, (1, 1120, 224, 32))  # images with gaps between them
    assert is_batch_innermost((4, 5), (5, 1)) and is_batch_innermost((1, 3, 5, 7), plain_strides((1, 3, 5, 7)))
    assert layout_name(shape, batch_innermost_strides(shape)) == "chwn"
