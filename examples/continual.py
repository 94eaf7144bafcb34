"""On-device continual learning in 64 MB: digits come one class after the other, and none is forgotten.

The process itself, Python and all, stays below 64 MB. A small memory of earlier samples (a reservoir: every sample seen
so far is in it with one probability; Vitter 1985) is replayed beside what comes in, and once half of the classes are
known the convolutions are frozen: a step then updates the dense layers alone.
"""

import os
import sys

import numpy as np

import thew
from thew import optim

FRESH, REPLAYED, KEPT = 8, 24, 1000  # samples of a step that are new, and from memory; samples in memory
per_class = int(sys.argv[1]) if len(sys.argv) > 1 else 800


def record():
    """Writes what a sensor would give, class after class, so that this process need not hold the data set."""
    from thew import data

    for name, samples, most in zip(("train", "test"), data.load("mnist"), (per_class, 50), strict=True):
        numbers = np.concatenate([np.flatnonzero(samples.labels == digit)[:most] for digit in range(10)])
        np.save(f"{name}_x.npy", samples.pictures[numbers])
        np.save(f"{name}_y.npy", samples.labels[numbers])


def seen_by_the_net(pictures):
    """Of mean 0 and deviation 1, about."""
    return (pictures / np.float32(255) - np.float32(0.13)) / np.float32(0.31)


if not (child := os.fork()):
    record()
    os._exit(0)
os.waitpid(child, 0)
x, y, test_x, test_y = (np.load(f"{name}.npy", mmap_mode="r") for name in ("train_x", "train_y", "test_x", "test_y"))

model = thew.models.lenet5(seed=0)


def trainer_of_now():
    """For what is not frozen now."""
    optimizer = optim.SGD(lr=0.02, momentum=0.9, clip_norm=1.0)
    return thew.Trainer(model, optimizer=optimizer, input_shape=x.shape[1:], memory_budget_bytes=8 << 20)


trainer, random = trainer_of_now(), np.random.default_rng(0)
memory = np.empty(KEPT, np.int64)  # numbers of samples; on a device the samples themselves
for seen in range(0, len(x) // FRESH * FRESH, FRESH):
    fresh = np.arange(seen, seen + FRESH)
    old = memory[random.integers(min(seen, KEPT), size=REPLAYED)] if seen else np.resize(fresh, REPLAYED)
    now = np.concatenate([fresh, old])
    trainer.step(seen_by_the_net(x[now]), y[now])
    for number in fresh:
        place = number if number < KEPT else random.integers(number + 1)
        if place < KEPT:
            memory[place] = number
    if y[seen] != y[min(seen + FRESH, len(x) - 1)] or seen + 2 * FRESH > len(x):
        digit = int(y[seen])
        known = np.flatnonzero(test_y <= digit)
        right = trainer.predict(seen_by_the_net(test_x[known]), batch_size=50).argmax(1) == test_y[known]
        print(f"after digit {digit}: {np.mean(right):.3f} of those seen so far")
        if digit == 4:
            model.conv1.freeze()
            model.conv2.freeze()
            trainer = trainer_of_now()

with open("/proc/self/status") as status:  # Linux; the peak of getrusage would be that of a larger parent
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
print(f"the process took {peak / 2**10:.0f} MB at most, a step {trainer.peak_memory_bytes / 2**20:.1f} of them")
