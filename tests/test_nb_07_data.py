"""Generated from nbs/07_data.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.data import *


import tempfile, pickle
from pathlib import Path
from unittest.mock import patch
import numpy as np
import torch
from PIL import Image
from fastcore.test import test_eq, test_close, test_fail, test_ne


def test_colour_statistics_by_hand():
    images = torch.randint(0, 256, (20, 3, 8, 8), dtype=torch.uint8)
    mean, std = colour_statistics(images)
    test_close(mean, (images.double() / 255).mean((0, 2, 3)).tolist())
    test_close(std, (images.double() / 255).std((0, 2, 3), unbiased=False).tolist())


def test_shapes_come_with_masks():
    data = shapes(train=50, test=20)
    test_eq(data.train.images.shape, (50, 3, 32, 32))
    test_eq(data.test.masks.shape, (20, 32, 32))
    test_eq(len(data.classes), 10)
    assert not torch.equal(data.train.images[:20], data.test.images)      # the test pictures are others


def test_absent_files_give_the_command():
    with tempfile.TemporaryDirectory() as empty:
        test_fail(lambda: cifar10(empty), contains="--download")


def test_cifar10_reads_its_own_layout():
    def write_tiny_cifar10(root):
        folder = Path(root, "cifar-10-batches-py"); folder.mkdir()
        pixels = np.random.default_rng(0).integers(0, 256, (12, 3072), dtype=np.uint8)
        for i, name in enumerate([f"data_batch_{k}" for k in range(1, 6)] + ["test_batch"]):
            (folder / name).write_bytes(pickle.dumps(dict(data=pixels[2*i:2*i+2], labels=[i, 9])))
        (folder / "batches.meta").write_bytes(pickle.dumps(dict(label_names=list("abcdefghij"))))
        return pixels

    with (tempfile.TemporaryDirectory() as root,
          patch("torchvision.datasets.cifar.check_integrity", lambda path, md5=None: Path(path).is_file())):
        pixels = write_tiny_cifar10(root)
        data = cifar10(root)
    test_eq((len(data.train), len(data.test), data.classes[0]), (10, 2, "a"))
    test_eq(data.train.labels.tolist(), [0, 9, 1, 9, 2, 9, 3, 9, 4, 9])
    test_eq(data.train.images[3].flatten().numpy(), pixels[3])
    test_eq(data.mean, (0.4914, 0.4822, 0.4465))


def test_cifar100_reads_its_own_layout():
    def write_tiny_cifar100(root):
        folder = Path(root, "cifar-100-python"); folder.mkdir()
        for name, count in (("train", 3), ("test", 2)):
            pixels = np.full((count, 3072), 7, dtype=np.uint8)
            content = dict(data=pixels, fine_labels=[99] * count, coarse_labels=[0] * count)
            (folder / name).write_bytes(pickle.dumps(content))
        (folder / "meta").write_bytes(pickle.dumps(dict(fine_label_names=[f"class {i}" for i in range(100)])))

    with (tempfile.TemporaryDirectory() as root,
          patch("torchvision.datasets.cifar.check_integrity", lambda path, md5=None: Path(path).is_file())):
        write_tiny_cifar100(root)
        data = cifar100(root)
    test_eq((len(data.train), len(data.test), len(data.classes)), (3, 2, 100))
    test_eq(data.train.labels.tolist(), [99, 99, 99])
    test_eq(data.std, (0.2009, 0.1984, 0.2023))


def test_a_folder_of_pictures():
    def write_folder(root, sizes=((32, 32), (40, 60))):
        for part in ("train", "val"):
            for number, name in enumerate(("cat", "dog")):
                Path(root, part, name).mkdir(parents=True)
                for i, size in enumerate(sizes):
                    Image.new("RGB", size, (0, 100 * number, i)).save(Path(root, part, name, f"{i}.png"))

    with tempfile.TemporaryDirectory() as root:
        write_folder(root)
        data = folder(root)
        test_eq((data.classes, data.train.labels.tolist()), (("cat", "dog"), [0, 0, 1, 1]))
        test_eq(data.train.images[:, :, 5, 5].tolist(), [[0, 0, 0], [0, 0, 1], [0, 100, 0], [0, 100, 1]])
        Path(root, "val", "dog", "1.png").write_bytes(b"no picture")
        test_fail(lambda: folder(root), contains="1.png can't be read as a picture")
        for file in Path(root, "val", "dog").iterdir(): file.unlink()
        test_fail(lambda: folder(root), contains="dog holds no pictures")
        test_fail(lambda: folder(Path(root, "nowhere")), contains="no folder")


def test_crop_and_flip_is_the_slow_way():
    images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    top, left, flip = torch.randint(0, 9, (8,)), torch.randint(0, 9, (8,)), torch.rand(8) < 0.5
    fast = crop_and_flip(images, top, left, flip)
    for i in range(8):
        slow = torch.nn.functional.pad(images[i], (4, 4, 4, 4))[:, top[i]:top[i] + 32, left[i]:left[i] + 32]
        test_eq(fast[i], slow.flip(2) if flip[i] else slow)
    assert fast.is_contiguous(memory_format=torch.channels_last)


def test_an_epoch_follows_from_seed_and_epoch():
    data = shapes(train=70, test=30)
    def epoch(seed, number): return list(train_batches(data, 32, seed, number))
    first, again, other, seed = epoch(0, 3), epoch(0, 3), epoch(0, 4), epoch(1, 3)
    test_eq([len(y) for x, y in first], [32, 32, 6])                         # each picture once
    test_eq(torch.cat([y for x, y in first]).bincount(), data.train.labels.bincount())
    for (x, y), (x2, y2) in zip(first, again): test_eq(x, x2); test_eq(y, y2)
    assert not torch.equal(first[0][0], other[0][0]) and not torch.equal(first[0][0], seed[0][0])


def test_batches_do_not_touch_the_global_generator():
    data = shapes(train=20, test=10)
    torch.manual_seed(5); before = torch.rand(1)
    torch.manual_seed(5); list(train_batches(data, 8, 0, 0))
    test_eq(torch.rand(1), before)


def test_normalised_pictures_have_mean_0_and_deviation_1():
    data = shapes(train=500, test=10)
    x = torch.cat([x for x, y in train_batches(data, 100, 0, 0, augment=False)])
    test_close(x.mean((0, 2, 3)), torch.zeros(3), eps=1e-4)
    test_close(x.std((0, 2, 3)), torch.ones(3), eps=1e-3)


def test_data_sets_by_name():
    test_eq(load_data("shapes").name, "shapes")
    test_fail(lambda: load_data("cifar11"), contains="did you mean cifar1")
    test_fail(lambda: load_data("folder"), contains="needs --data_dir")
