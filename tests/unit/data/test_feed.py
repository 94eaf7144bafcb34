"""Batches made ready by native threads are those of the NumPy definition, to the bit, for any number of threads."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thew import data
from thew.data import augment
from thew.data.images import Preparation
from thew.errors import Error, InputError
from thew.train.batches import Batches

EXTENTS = st.integers(0, 12)
AUGMENTATIONS = st.lists(
    st.one_of(st.just(data.flip()), st.builds(data.random_crop, EXTENTS), st.builds(data.cutout, EXTENTS)), max_size=5
)


def images(count=50, shape=(3, 9, 7), seed=0, augmentations=(), threads=1):
    source = np.random.default_rng(seed)
    pictures = source.integers(0, 256, (count, *shape)).astype(np.uint8)
    mean, deviation = (tuple(source.uniform(0.2, 0.6, shape[0])) for _ in range(2))
    preparation = Preparation(mean, deviation, tuple(augmentations), seed - 3)
    return data.Images(pictures, np.arange(count), preparation, threads=threads)


@settings(max_examples=60)
@given(AUGMENTATIONS, st.integers(1, 9), st.integers(1, 70), st.integers(0, 9), st.integers(0, 3))
def test_native_is_the_definition(augmentations, h, w, seed, threads):
    found = images(30, (2, h, w), seed, augmentations, threads)
    numbers = np.random.default_rng(seed).integers(0, 30, 40)
    prepared, labels = found.take(numbers, 2**32 - seed)
    expected = found.preparation.apply(found.pictures[numbers], numbers, 2**32 - seed)
    assert prepared.dtype == expected.dtype == np.float32
    np.testing.assert_array_equal(prepared.view(np.uint32), expected.view(np.uint32))
    np.testing.assert_array_equal(labels, numbers)


def test_other_functions_run_as_they_are():
    def darker(pictures, words):
        return pictures // 2

    found = images(augmentations=(data.flip(), darker))
    assert augment.native_form(found.preparation.augment) is None
    numbers = np.arange(7)
    np.testing.assert_array_equal(
        found.take(numbers, 1)[0], found.preparation.apply(found.pictures[numbers], numbers, 1)
    )


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_an_epoch_goes_on_anywhere(threads):
    augmentations = (data.flip(), data.random_crop(2), data.cutout(3))
    found = images(augmentations=augmentations, threads=threads)
    whole = list(Batches(8, 1).of(found, 5))
    assert [len(x) for x, _ in whole] == [8] * 6 + [2]
    for start in (0, 3, 6, 7):
        rest = list(Batches(8, 1).of(images(augmentations=augmentations), 5, start))
        assert len(rest) == len(whole) - start
        for (x, y), (expected, labels) in zip(rest, whole[start:], strict=True):
            np.testing.assert_array_equal(x, expected)
            np.testing.assert_array_equal(y, labels)
    assert [len(x) for x, _ in Batches(8, 1, True).of(found, 5)] == [8] * 6


def test_an_epoch_may_end_early():
    found = images(600, (3, 16, 16), augmentations=(data.flip(),))
    for _ in range(10):
        batches = Batches(150, 0).of(found, 0)
        next(batches)
        batches.close()  # two batches are under way


def test_the_child_of_a_fork_has_a_feed_of_its_own():
    found = images(augmentations=(data.flip(),))
    numbers = np.arange(5)
    expected, _ = found.take(numbers, 0)
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(found.take(numbers, 0)[0], expected) else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_nonsense_is_refused():
    with pytest.raises(Error, match="numbers"):
        images().take(np.array([50]), 0)
    with pytest.raises(Error, match="threads"):
        images(threads=65).take(np.array([0]), 0)
    with pytest.raises(InputError, match="channel"):
        data.Images(np.zeros((1, 3, 2, 2), np.uint8), [0], Preparation((0.5,) * 2, (0.5,) * 2))
    for make in (data.random_crop, data.cutout):
        with pytest.raises(InputError, match="pixels"):
            make(-1)
