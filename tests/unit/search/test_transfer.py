"""Times of one device from those of another: a law that is known is found again, and little is measured for it."""

import json
import sqlite3

import numpy as np
import pytest

import thew
from thew.errors import InputError
from thew.runtime.cache import Cache, Measurement, foreign
from thew.search.measure import Trial
from thew.search.transfer import CostModel, Transfer, compare, cover, describe

KINDS = ("conv_implicit", "conv_direct", "winograd_4x4_3x3")
RATE_THERE = {"conv_implicit": 1.0, "conv_direct": 4.0, "winograd_4x4_3x3": 0.5}
RATE_HERE = {"conv_implicit": 1.0, "conv_direct": 2.0, "winograd_4x4_3x3": 1.5}


def key(kind, channels, extent, isa="avx2"):
    types = [f"fp32[1,{channels},{extent},{extent}]", f"fp32[{channels},{channels},3,3]"]
    attributes = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [1, 1], "dilations": [1, 1], "group": 1}
    row = f"{kind}_fp32_fp32_fp32_6x16x1_{isa}"
    return json.dumps(
        [row, "conv", types, [False, True], {**attributes, "auto_pad": "NOTSET"}, 1], separators=(",", ":")
    )


def macs(one):
    return np.exp(describe(one).work[0]) / 2


def seconds(kind, one, rates, factor):
    return 1e-10 * factor * rates[kind] * macs(one)


@pytest.fixture(scope="module")
def devices():
    """Two devices: the second is three times as slow, has another ISA, and likes other kernels."""
    random = np.random.default_rng(0)
    there, here = {}, {}
    for _ in range(60):
        channels, extent = int(random.integers(8, 200)), int(random.integers(4, 60))
        for kind in KINDS:
            old, new = key(kind, channels, extent), key(kind, channels, extent, "neon")
            there[old], here[new] = (
                seconds(kind, old, RATE_THERE, 1.0),
                seconds(kind, new, RATE_HERE, 3.0),
            )
    return there, here


def test_keys_say_what_work_they_are():
    one = describe(key("winograd_4x4_3x3", 16, 8))
    assert (one.kind, one.isa) == ("winograd_4x4_3x3 fp32", "avx2")
    assert macs(key("conv_direct", 16, 8)) == pytest.approx(16 * 16 * 9 * 64, rel=1e-3)
    assert describe('["copy","bf16",[1,8,4,4],true,1]').kind == "copy bf16 True"


@pytest.mark.parametrize(
    "text",
    ["", "[", "[]", "5", "null", '["network","a"]', '["copy",1,2,3]', '["copy","fp32",["x"],true,1]', "[" * 5000,
     '["conv_direct_fp32_avx2","conv",["fp32[1,"],[false],{},1]', '["conv_direct_fp32_avx2",[],{},0,1]',
     '["conv_direct_fp32_avx2","conv",["fp32[0,0,0,0]","fp32[0,0,0,0]"],[false],{"strides":[0,0]},1]'],
)  # fmt: skip
def test_keys_that_make_no_sense_are_left_out(text):
    describe(text)
    assert CostModel({text: 1.0, key("conv_direct", 8, 8): 1e-3}).adapted({}).seconds([key("conv_direct", 8, 8)])


def test_a_law_is_learnt_from_one_device_and_corrected_for_another(devices):
    there, here = devices
    alone = CostModel(there)
    unseen = key("conv_implicit", 50, 77)
    (found,) = np.exp(alone.logarithms({unseen: describe(unseen)}))
    assert found == pytest.approx(seconds("conv_implicit", unseen, RATE_THERE, 1.0), rel=0.1)
    agreement = compare(there, here, samples=18)
    assert agreement.held_out == len(here) - 18 and agreement.samples == 18
    assert agreement.median_error < 0.15 and agreement.rank_correlation > 0.98
    assert compare(there, here, samples=1).median_error > agreement.median_error


def test_layers_to_begin_with_show_every_kernel_twice():
    layers = {
        "dear": [Trial(key("conv_direct", 64, 64), "dear", None), Trial(key("conv_implicit", 64, 64), "dear", None)],
        **{f"cheap{n}": [Trial(key("conv_direct", 8, n), f"cheap{n}", None)] for n in (3, 4, 5)},
    }
    guess = {t.key: float(macs(t.key)) for trials in layers.values() for t in trials}
    chosen = cover(layers, guess)
    assert chosen == ["cheap3", "cheap4", "dear"]  # which alone has the second kernel; of the first two are enough


def test_only_what_may_be_worth_it_is_measured(devices, tmp_path, monkeypatch):
    there, here = devices
    _filled(tmp_path, there)
    asked = []

    def measured(layer, near):  # the device: the law, with no noise
        asked.extend(trial.key for trial in layer)
        return [Measurement(t.key, here[t.key], 0.0, 5) for t in layer], []

    monkeypatch.setattr("thew.search.measure.measure_layer", measured)
    trials = [Trial(one, one.split('"conv",')[1], None) for one in here]
    cache = Cache("here", "1", tmp_path / "here.sqlite")
    transfer = Transfer.of(tmp_path / "there.sqlite")
    known, refused = transfer.measure(trials, cache, 100.0)
    assert known.keys() == here.keys() and not refused
    assert transfer.agreement.left == len(here) - len(asked) > 0 and len(set(asked)) == len(asked)
    assert cache.known().keys() == set(asked)  # predictions are not kept
    for layer in {trial.layer for trial in trials}:
        ways = [trial.key for trial in trials if trial.layer == layer]
        assert min(ways, key=here.__getitem__) in asked, "the best of each layer is measured"
    assert all(known[one].samples == 0 for one in here.keys() - set(asked))
    again, _ = transfer.measure(trials, cache, 100.0)
    assert len(set(asked)) == len(asked) and again.keys() == known.keys()
    cache.close()


def test_a_file_that_is_no_cache_is_refused(tmp_path):
    (tmp_path / "text").write_text("nothing")
    for path in (tmp_path / "text", tmp_path / "none"):
        with pytest.raises(InputError, match="cache"):
            foreign(path)
    with pytest.raises(InputError, match="transfer"):
        thew.search(thew.models.lenet5().graph((1, 1, 28, 28)), transfer_from=_filled(tmp_path, {"network": 1.0}))
    assert not (tmp_path / "none").exists()
    with sqlite3.connect(tmp_path / "there.sqlite") as connection:
        connection.execute("UPDATE measurement SET seconds = -1")
    assert foreign(tmp_path / "there.sqlite") == {}


def _filled(folder, there):
    """A cache with these measurements of another device, and one of a third."""
    path = folder / "there.sqlite"
    for device, given in (("elsewhere", there), ("a third", dict(list(there.items())[:1]))):
        cache = Cache(device, "1", path)
        cache.add(Measurement(one, value, 0.0, 3) for one, value in given.items())
        cache.close()
    return path
