"""The data sets as a table: files, their form, and the statistics by which pictures are normalised.

MNIST: LeCun et al. 1998; Fashion-MNIST: Xiao et al. 2017; CIFAR-10 and CIFAR-100: Krizhevsky 2009. In the data folder a
file ``<name>.npz`` with arrays x_train, y_train, x_test, y_test stands for any of them; ``x_…_enc`` in place of ``x_…``
holds differences of pictures, which pack better.
"""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from types import MappingProxyType

import numpy as np

from thew.data.augment import Augmentation, flip, random_crop
from thew.data.download import Remote, data_folder, fetch
from thew.data.images import Images, Preparation
from thew.errors import InputError
from thew.ir.graph import Array

Halves = tuple[tuple[Array, Array], tuple[Array, Array]]  # training and test pictures with labels


@dataclass(frozen=True)
class Set:
    """A data set: its files, how they are read, the shape of a picture, mean and deviation, and its classes."""

    files: tuple[Remote, ...]
    read: Callable[[Sequence[Path]], Halves]
    shape: tuple[int, int, int]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    classes: tuple[str, ...] = ()

    @property
    def augment(self) -> tuple[Augmentation, ...]:
        """What is usual in training: shifts, and where pictures are of colour mirrors."""
        return (random_crop(2),) if self.shape[0] == 1 else (flip(), random_crop(4))


def _idx(path: Path) -> Array:
    """An array in MNIST's own format: two zeros, type, rank, big-endian extents, elements."""
    with gzip.open(path) as file:
        data = file.read()
    rank = data[3]
    if data[:3] != b"\0\0\x08" or len(data) < 4 + 4 * rank:
        raise InputError(f"data '{path}': must be an IDX file of bytes, got {data[:4]!r}")
    shape = tuple(int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(rank))
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def _read_idx(paths: Sequence[Path]) -> Halves:
    pictures, labels, test_pictures, test_labels = map(_idx, paths)
    return (pictures[:, None], labels), (test_pictures[:, None], test_labels)


def _read_cifar(label_bytes: int, train: str, test: str) -> Callable[[Sequence[Path]], Halves]:
    """Records of labels and 3 × 32 × 32 bytes, in members of an archive whose names begin so."""

    def read(paths: Sequence[Path]) -> Halves:
        halves = []
        with tarfile.open(paths[0]) as archive:
            members = sorted(archive.getnames())
            for stem in (train, test):
                names = [name for name in members if Path(name).name.startswith(stem) and name.endswith(".bin")]
                data = b"".join(file.read() for name in names if (file := archive.extractfile(name)) is not None)
                records = np.frombuffer(data, np.uint8).reshape(-1, label_bytes + 3072)
                pictures = np.ascontiguousarray(records[:, label_bytes:]).reshape(-1, 3, 32, 32)
                halves.append((pictures, records[:, label_bytes - 1].copy()))
        return halves[0], halves[1]

    return read


def _idx_files(address: str, digests: Sequence[str]) -> tuple[Remote, ...]:
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return tuple(
        Remote(f"{name}-ubyte.gz", f"{address}/{name}-ubyte.gz", digest)
        for name, digest in zip(names, digests, strict=True)
    )


_DIGITS = tuple("0123456789")
_CLOTHES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
_THINGS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_CIFAR = "https://www.cs.toronto.edu/~kriz"

SETS: Mapping[str, Set] = MappingProxyType(
    {
        "mnist": Set(
            _idx_files(
                "https://ossci-datasets.s3.amazonaws.com/mnist",
                (
                    "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                    "d53e105ee54ea40749a09fcbcd1e9432",
                    "9fb629c4189551a2d022fa330f9573f3",
                    "ec29112dd5afa0611ce80d1b7f02629c",
                ),
            ),
            _read_idx,
            (1, 28, 28),
            (0.1307,),
            (0.3081,),
            _DIGITS,
        ),
        "fashion_mnist": Set(
            _idx_files(
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
                (
                    "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                    "25c81989df183df01b3e8a0aad5dffbe",
                    "bef4ecab320f06d8554ea6380940ec79",
                    "bb300cfdad3c16e7a12a480ee83cd310",
                ),
            ),
            _read_idx,
            (1, 28, 28),
            (0.2860,),
            (0.3530,),
            _CLOTHES,
        ),
        "cifar10": Set(
            (Remote("cifar-10-binary.tar.gz", f"{_CIFAR}/cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),),
            _read_cifar(1, "data_batch", "test_batch"),
            (3, 32, 32),
            (0.4914, 0.4822, 0.4465),
            (0.2470, 0.2435, 0.2616),
            _THINGS,
        ),
        "cifar100": Set(
            (
                Remote(
                    "cifar-100-binary.tar.gz", f"{_CIFAR}/cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"
                ),
            ),
            _read_cifar(2, "train", "test"),
            (3, 32, 32),
            (0.5071, 0.4865, 0.4409),
            (0.2673, 0.2564, 0.2762),
        ),
    }
)


def load(name: str, augment: Sequence[Augmentation] = (), seed: int = 0, threads: int = 1) -> tuple[Images, Images]:
    """Training and test pictures of a data set.

    Args:
        name: "mnist", "fashion_mnist", "cifar10" or "cifar100".
        augment: what is done to the training pictures; see `thew.data.augment`.
        seed: of augmentation.
        threads: that make batches ready ahead of the step.

    Raises:
        InputError: there is no such set, or its files are not there, cannot be had, or are damaged.
    """
    if name not in SETS:
        raise InputError(f"data: must be one of {', '.join(SETS)}, or a folder of pictures, got {name!r}")
    found, folder = SETS[name], data_folder()
    local = folder / f"{name}.npz"
    if local.exists():
        halves = _read_npz(local, found)
    else:
        halves = found.read([fetch(remote, folder / name) for remote in found.files])
    (x, y), (test_x, test_y) = halves
    plain = Preparation(found.mean, found.deviation)
    augmented = replace(plain, augment=tuple(augment), seed=seed)
    training = Images(x, y, augmented, found.classes, threads)
    return training, Images(test_x, test_y, plain, found.classes, threads)


def _read_npz(path: Path, found: Set) -> Halves:
    with np.load(path, allow_pickle=False) as arrays:
        (x, y), (test_x, test_y) = (
            (_pictures(path, arrays, f"x_{half}", found.shape), _member(path, arrays, f"y_{half}").reshape(-1))
            for half in ("train", "test")
        )
    return (x, y), (test_x, test_y)


def _pictures(path: Path, arrays: Mapping[str, Array], name: str, shape: tuple[int, int, int]) -> Array:
    """Pictures (n, c, h, w), as they are or from their differences."""
    coded = f"{name}_enc"
    found = _summed(arrays[coded]) if coded in arrays else _member(path, arrays, name)
    if found.dtype != np.uint8 or found.size != len(found) * prod(shape):
        raise InputError(f"data '{path}': {name} must be bytes of pictures {shape}, got {found.dtype} {found.shape}")
    return found.reshape(len(found), *shape)


def _member(path: Path, arrays: Mapping[str, Array], name: str) -> Array:
    if name not in arrays:
        raise InputError(f"data '{path}': must hold x_train, y_train, x_test and y_test, got no {name}")
    return arrays[name]


def _summed(differences: Array) -> Array:
    """Pictures (n, 3, h, w) from (3, n, h, w) differences modulo 256: of red and blue to green, then along rows and
    columns of each picture.
    """
    sums = np.cumsum(np.cumsum(differences, 2, dtype=np.uint8), 3, dtype=np.uint8)
    sums[0] += sums[1]
    sums[2] += sums[1]
    return np.ascontiguousarray(sums.swapaxes(0, 1))
