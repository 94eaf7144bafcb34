"""Data sets: files are read as they are published, damaged ones refused; augmentation is a function of numbers."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from thew import data
from thew.data import download, sets
from thew.data.augment import draw
from thew.data.images import Preparation
from thew.errors import InputError


def idx(array) -> bytes:
    head = bytes([0, 0, 8, array.ndim]) + b"".join(extent.to_bytes(4, "big") for extent in array.shape)
    return gzip.compress(head + array.tobytes(), mtime=0)


def pictures(n=6, shape=(28, 28)):
    return np.random.default_rng(0).integers(0, 256, (n, *shape)).astype(np.uint8)


def test_idx_files(tmp_path):
    x, y = pictures(), np.arange(6, dtype=np.uint8)
    paths = []
    for name, array in (("a", x), ("b", y), ("c", x[:2]), ("d", y[:2])):
        paths.append(tmp_path / name)
        paths[-1].write_bytes(idx(array))
    (train, labels), (test, _) = sets._read_idx(paths)
    np.testing.assert_array_equal(train[:, 0], x)
    np.testing.assert_array_equal(labels, y)
    assert test.shape == (2, 1, 28, 28)


@pytest.mark.parametrize(("name", "label_bytes"), [("cifar10", 1), ("cifar100", 2)])
def test_cifar_archives(tmp_path, name, label_bytes):
    x, y = pictures(4, (3, 32, 32)), np.array([3, 1, 2, 0], np.uint8)
    records = b"".join(bytes([9] * (label_bytes - 1)) + bytes([k]) + p.tobytes() for k, p in zip(y, x, strict=True))
    names = ("data_batch_1.bin", "test_batch.bin") if name == "cifar10" else ("train.bin", "test.bin")
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for member in names:
            info = tarfile.TarInfo(f"folder/{member}")
            info.size = len(records)
            archive.addfile(info, io.BytesIO(records))
    (train, labels), _ = data.SETS[name].read([path])
    np.testing.assert_array_equal(train, x)
    np.testing.assert_array_equal(labels, y)


def test_local_npz(tmp_path, monkeypatch):
    monkeypatch.setenv("THEW_DATA", str(tmp_path))
    x, y = pictures(), np.arange(6, dtype=np.uint8)
    np.savez(tmp_path / "mnist.npz", x_train=x, y_train=y, x_test=x[:3], y_test=y[:3])
    train, test = data.load("mnist")
    assert (len(train), len(test), train.shape) == (6, 3, (1, 28, 28))
    taken, labels = train.take(np.array([4, 0]), 0)
    expected = (x[[4, 0], None] / 255 - 0.1307) / 0.3081
    np.testing.assert_allclose(taken, expected, rtol=0, atol=1e-5)
    assert taken.dtype == np.float32 and labels.tolist() == [4, 0]


def test_pictures_as_differences(tmp_path, monkeypatch):
    monkeypatch.setenv("THEW_DATA", str(tmp_path))
    x, y = pictures(5, (3, 32, 32)), np.arange(5, dtype=np.uint8)
    wide = x.astype(np.int64)
    channels = np.stack([wide[:, 0] - wide[:, 1], wide[:, 1], wide[:, 2] - wide[:, 1]])
    differences = np.diff(np.diff(channels, axis=2, prepend=0), axis=3, prepend=0).astype(np.uint8)  # modulo 256
    np.savez(tmp_path / "cifar10.npz", x_train_enc=differences, y_train=y, x_test=x[:2], y_test=y[:2])
    train, test = data.load("cifar10")
    np.testing.assert_array_equal(train.pictures, x)
    np.testing.assert_array_equal(test.pictures, x[:2])
    np.savez(tmp_path / "cifar10.npz", x_train=x[:, :, :4], y_train=y, x_test=x, y_test=y)
    with pytest.raises(InputError, match="x_train must be bytes"):
        data.load("cifar10")


class Ranges(SimpleHTTPRequestHandler):
    """Serves parts of files, as the standard library's server does not, and notes what was asked for."""

    asked: ClassVar[list[str | None]] = []

    def do_GET(self):
        content = Path(self.translate_path(self.path)).read_bytes()
        self.asked.append(self.headers["Range"])
        first = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        if first >= len(content) > 0:
            self.send_error(416)
            return
        self.send_response(206 if first else 200)
        self.end_headers()
        self.wfile.write(content[first:])

    def log_message(self, *arguments):
        pass


@pytest.mark.parametrize("have", [0, 100, 16384])
def test_a_download_that_broke_off_goes_on(tmp_path, have):
    content = bytes(range(256)) * 64
    (tmp_path / "file").write_bytes(content)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file.part").write_bytes(content[:have])
    Ranges.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Ranges, directory=tmp_path)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/file"
        remote = download.Remote("file", url, hashlib.md5(content).hexdigest())
        assert download.fetch(remote, tmp_path / "data").read_bytes() == content
        server.shutdown()
    assert Ranges.asked == [f"bytes={have}-" if have else None]
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["file"]


def test_download_goes_on_and_checks(tmp_path):
    content = bytes(range(256)) * 64
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "file").write_bytes(content)
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path / "served")
    handler.func.log_message = lambda *arguments: None
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/file"
        remote = download.Remote("file", url, hashlib.md5(content).hexdigest())
        folder = tmp_path / "data"
        folder.mkdir()
        (folder / "file.part").write_bytes(content[:100])  # this server knows no ranges: it starts afresh
        assert download.fetch(remote, folder).read_bytes() == content
        with pytest.raises(InputError, match="MD5"):
            download.fetch(download.Remote("other", url, "0" * 32), folder)
        assert not (folder / "other").exists() and not (folder / "other.part").exists()
        server.shutdown()
    assert download.fetch(remote, folder).exists()  # nothing is asked of the network again
    with pytest.raises(InputError, match="THEW_DATA"):
        download.fetch(download.Remote("gone", url, "0" * 32), folder)


def test_folder(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for name, value in (("cat", 10), ("dog", 200)):
        (tmp_path / name).mkdir()
        image.fromarray(np.full((20, 30, 3), value, np.uint8)).save(tmp_path / name / "a.png")
    found = data.ImageFolder(tmp_path, (8, 8), Preparation((0.0,) * 3, (1.0,) * 3))
    x, y = found.take(np.array([1, 0]), 0)
    assert found.classes == ("cat", "dog") and y.tolist() == [1, 0]
    np.testing.assert_allclose(x, np.array([200, 10]).reshape(2, 1, 1, 1) / 255 * np.ones((2, 3, 8, 8)), atol=1e-6)
    with pytest.raises(InputError, match="folder"):
        data.ImageFolder(tmp_path / "none")


def test_augmentation_is_a_function_of_numbers():
    images = data.Images(
        pictures(8, (3, 10, 10)), np.arange(8), Preparation(augment=(data.flip(), data.random_crop(2), data.cutout(4)))
    )
    whole, _ = images.take(np.arange(8), 3)
    part, _ = images.take(np.array([5, 2]), 3)
    np.testing.assert_array_equal(part, whole[[5, 2]])
    other, _ = images.take(np.arange(8), 4)
    assert not np.array_equal(whole, other)


def test_augmentations():
    x = pictures(64, (1, 9, 7))
    words = draw(np.arange(64), 0, 1, 0)
    turned = data.flip()(x, words)
    same = (turned == x).all((1, 2, 3))
    assert 10 < same.sum() < 54
    np.testing.assert_array_equal(turned[~same], x[~same][..., ::-1])
    moved = data.random_crop(2)(x, words)
    for before, after, word in zip(x, moved, words, strict=True):
        down, right = int(word[0] % 5) - 2, int(word[1] % 5) - 2
        expected = np.zeros_like(before)
        rows, columns = (slice(max(0, -s), min(e, e - s)) for s, e in ((down, 9), (right, 7)))
        expected[:, rows, columns] = np.roll(before, (-down, -right), (1, 2))[:, rows, columns]
        np.testing.assert_array_equal(after, expected)
    cut = data.cutout(3)(np.full_like(x, 7), words)
    assert set(np.unique(cut)) == {0, 7} and ((cut == 0).sum((1, 2, 3)) <= 9).all()
