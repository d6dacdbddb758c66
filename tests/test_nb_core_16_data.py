"""Generated from nbs/core/16_data.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.data.datasets import *


import pickle
import tempfile
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from fastcore.test import test_close, test_eq, test_fail, test_ne
from PIL import Image


def test_shares_make_up_the_batch():
    batch = [3, 1, 4, 5, 9]
    for size in (1, 2, 3, 5):
        shares = [take(batch, slice(k, None, size)) for k in range(size)]
        test_eq(sorted(sum(shares, [])), sorted(batch))
    test_eq([take(torch.arange(7, 9), slice(k, None, 4)).tolist() for k in range(4)], [[7], [8], [7], [7]])


def test_color_statistics_by_hand():
    images = torch.randint(0, 256, (20, 3, 8, 8), dtype=torch.uint8)
    mean, std = color_statistics(images)
    test_close(mean, (images.double() / 255).mean((0, 2, 3)).tolist())
    test_close(std, (images.double() / 255).std((0, 2, 3), unbiased=False).tolist())
    images[:, 2] = 77  # one color is the same everywhere
    test_eq(color_statistics(images)[1][2], 1)


def test_shapes_come_with_masks():
    data = shapes(train=50, test=20)
    test_eq(data.train.images.shape, (50, 3, 32, 32))
    test_eq(data.test.masks.shape, (20, 32, 32))
    test_eq(len(data.classes), 10)
    assert not torch.equal(data.train.images[:20], data.test.images)  # the test images are others


def test_every_pixel_has_the_class_of_its_object_or_none():
    plain, data = shapes(train=50, test=20), segmentation_shapes(train=50, test=20)
    test_eq(data.train.images, plain.train.images)
    test_eq(
        (data.train.labels.shape, data.train.labels.dtype, len(data.classes)), ((50, 32, 32), torch.int64, 11)
    )
    for labels, label, mask in zip(data.test.labels, plain.test.labels, plain.test.masks):
        assert mask.any() and (labels[mask] == label + 1).all() and (labels[~mask] == 0).all()
        test_eq(data.classes[labels.max()], plain.classes[label])


def test_absent_files_give_the_command():
    with tempfile.TemporaryDirectory() as empty:
        test_fail(lambda: cifar10(empty), contains="--download")


def test_cifar10_reads_its_own_layout():
    def write_tiny_cifar10(root):
        folder = Path(root, "cifar-10-batches-py")
        folder.mkdir()
        pixels = np.random.default_rng(0).integers(0, 256, (12, 3072), dtype=np.uint8)
        for i, name in enumerate([f"data_batch_{k}" for k in range(1, 6)] + ["test_batch"]):
            (folder / name).write_bytes(pickle.dumps(dict(data=pixels[2 * i : 2 * i + 2], labels=[i, 9])))
        (folder / "batches.meta").write_bytes(pickle.dumps(dict(label_names=list("abcdefghij"))))
        return pixels


    with (
        tempfile.TemporaryDirectory() as root,
        patch("torchvision.datasets.cifar.check_integrity", lambda path, md5=None: Path(path).is_file()),
    ):
        pixels = write_tiny_cifar10(root)
        data = cifar10(root)
    test_eq((len(data.train), len(data.test), data.classes[0]), (10, 2, "a"))
    test_eq(data.train.labels.tolist(), [0, 9, 1, 9, 2, 9, 3, 9, 4, 9])
    test_eq(data.train.images[3].flatten().numpy(), pixels[3])
    test_eq(data.mean, (0.4914, 0.4822, 0.4465))


def test_cifar100_reads_its_own_layout():
    def write_tiny_cifar100(root):
        folder = Path(root, "cifar-100-python")
        folder.mkdir()
        for name, count in (("train", 3), ("test", 2)):
            pixels = np.full((count, 3072), 7, dtype=np.uint8)
            content = dict(data=pixels, fine_labels=[99] * count, coarse_labels=[0] * count)
            (folder / name).write_bytes(pickle.dumps(content))
        (folder / "meta").write_bytes(pickle.dumps(dict(fine_label_names=[f"class {i}" for i in range(100)])))


    with (
        tempfile.TemporaryDirectory() as root,
        patch("torchvision.datasets.cifar.check_integrity", lambda path, md5=None: Path(path).is_file()),
    ):
        write_tiny_cifar100(root)
        data = cifar100(root)
    test_eq((len(data.train), len(data.test), len(data.classes)), (3, 2, 100))
    test_eq(data.train.labels.tolist(), [99, 99, 99])
    test_eq(data.std, (0.2009, 0.1984, 0.2023))


def test_a_folder_of_images():
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
        Path(root, "val", "dog", "1.png").write_bytes(b"no image")
        test_fail(lambda: folder(root), contains="1.png can't be read as a image")
        for file in Path(root, "val", "dog").iterdir():
            file.unlink()
        test_fail(lambda: folder(root), contains="dog holds no images")
        test_fail(lambda: folder(Path(root, "nowhere")), contains="no folder")


def test_crop_and_flip_is_the_slow_way():
    images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    top, left, flip = torch.randint(0, 9, (8,)), torch.randint(0, 9, (8,)), torch.rand(8) < 0.5
    fast = crop_and_flip(images, top, left, flip)
    for i in range(8):
        slow = torch.nn.functional.pad(images[i], (4, 4, 4, 4))[:, top[i] : top[i] + 32, left[i] : left[i] + 32]
        test_eq(fast[i], slow.flip(2) if flip[i] else slow)
    assert fast.is_contiguous(memory_format=torch.channels_last)


def test_an_epoch_follows_from_seed_and_epoch():
    data = shapes(train=70, test=30)


    def epoch(seed, number):
        return list(data.train_batches(32, seed, number))


    first, again, other, seed = epoch(0, 3), epoch(0, 3), epoch(0, 4), epoch(1, 3)
    test_eq([len(y) for x, y in first], [32, 32, 6])  # each image once
    test_eq(torch.cat([y for x, y in first]).bincount(), data.train.labels.bincount())
    for (x, y), (x2, y2) in zip(first, again):
        test_eq(x, x2)
        test_eq(y, y2)
    assert not torch.equal(first[0][0], other[0][0]) and not torch.equal(first[0][0], seed[0][0])
    rest = list(data.train_batches(32, 0, 3, skip=32))  # the epoch goes on after its first batch
    test_eq(len(rest), 2)
    for (x, y), (x2, y2) in zip(first[1:], rest):
        test_eq(x, x2)
        test_eq(y, y2)
    test_eq(list(data.train_batches(32, 0, 3, skip=70)), [])


def test_shares_are_the_rows_of_the_whole_batch():
    data = shapes(train=34, test=30)
    train = lambda share: data.train_batches(16, 0, 3, share=share)
    test = lambda share: data.test_batches(14, share=share)
    for batches in (train, test):
        shares = zip(*(batches(slice(k, None, 3)) for k in range(3)))
        for (x, y), parts in zip(batches(slice(None)), shares, strict=True):
            for k, (mine, labels) in enumerate(parts):
                rows = list(range(k, len(y), 3)) or [0]
                test_eq(mine, x[rows])
                test_eq(labels, y[rows])


def test_a_fingerprint_changes_with_any_pixel_or_label():
    data = shapes(train=20, test=10)
    test_eq((data.fingerprint(), len(data.fingerprint())), (shapes(train=20, test=10).fingerprint(), 16))
    images, labels = data.train.images.clone(), data.test.labels.clone()
    images[3, 2, 1, 0] += 1
    labels[7] += 1
    others = [
        replace(data, train=replace(data.train, images=images)),
        replace(data, test=replace(data.test, labels=labels)),
        shapes(train=21, test=10),
        replace(data, train=data.test, test=data.train),
    ]
    test_eq(len({data.fingerprint(), *(other.fingerprint() for other in others)}), 5)


def test_batches_do_not_touch_the_global_generator():
    data = shapes(train=20, test=10)
    torch.manual_seed(5)
    before = torch.rand(1)
    torch.manual_seed(5)
    list(data.train_batches(8, 0, 0))
    test_eq(torch.rand(1), before)


def test_normalized_images_have_mean_0_and_deviation_1():
    data = shapes(train=500, test=10)
    x = torch.cat([x for x, y in data.train_batches(100, 0, 0, augment=False)])
    test_close(x.mean((0, 2, 3)), torch.zeros(3), eps=1e-4)
    test_close(x.std((0, 2, 3)), torch.ones(3), eps=1e-3)


def test_a_label_map_moves_with_its_image():
    data = segmentation_shapes(train=60, test=10)
    painted = replace(data.train, images=data.train.labels[:, None].repeat(1, 3, 1, 1).to(torch.uint8))
    data = replace(
        data, train=painted, mean=(0, 0, 0), std=(1 / 255,) * 3
    )  # batches come out as they are painted
    plain = list(data.train_batches(20, 0, 0, augment=False))
    for (x, y), (_, unmoved) in zip(data.train_batches(20, 0, 0), plain):
        test_eq((y.shape, y.dtype), ((20, 32, 32), torch.int64))
        for channel in range(3):
            test_eq(x[:, channel].round().long(), y)
        assert not torch.equal(y, unmoved) and torch.equal(y.amax((1, 2)), unmoved.amax((1, 2)))
    test_eq(next(data.test_batches(10))[1], data.test.labels)


def test_images_of_odd_sizes_are_streamed():
    def write_photos(root):
        for part, count in (("train", 5), ("val", 2)):
            for number, name in enumerate(("cat", "dog")):
                Path(root, part, name).mkdir(parents=True)
                for i, (width, height) in enumerate([(40, 61), (300, 75), (64, 64), (9, 33), (57, 128)][:count]):
                    random = np.random.default_rng(10 * number + i)
                    pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
                    Image.fromarray(pixels).save(Path(root, part, name, f"{i}.{('png', 'JPEG')[i % 2]}"))


    with tempfile.TemporaryDirectory() as root:
        write_photos(root)
        data = imagenet(root, size=32, workers=0)
        torch.manual_seed(5)
        before = torch.rand(1)
        torch.manual_seed(5)

        def epoch(seed, number):
            return list(data.train_batches(4, seed, number))

        first, again, other, seed = epoch(0, 3), epoch(0, 3), epoch(0, 4), epoch(1, 3)
        test = list(data.test_batches())
        test_eq(torch.rand(1), before)  # the global generator was not touched
        (x, y), (x2, y2) = data.train_batches(4, 0, 3, skip=4)  # the epoch goes on after its first batch
        for mine, theirs in zip((x, y, x2, y2), (*first[1], *first[2])):
            test_eq(mine, theirs)
        for (x, y), (odd, _) in zip(first, data.train_batches(4, 0, 3, share=slice(1, None, 2))):
            test_eq(odd, x[1::2])
        was = data.fingerprint()
        Path(root, "train", "cat", "0.png").write_bytes(b"shorter")
        test_ne(data.fingerprint(), was)
    test_eq((len(data.train), len(data.test), data.classes), (10, 4, ("cat", "dog")))
    test_eq([x.shape for x, y in first], [(4, 3, 32, 32), (4, 3, 32, 32), (2, 3, 32, 32)])
    test_eq(torch.cat([y for x, y in first]).bincount(), [5, 5])  # each image once
    for (x, y), (x2, y2) in zip(first, again):
        test_eq(x, x2)
        test_eq(y, y2)
    assert not torch.equal(first[0][0], other[0][0]) and not torch.equal(first[0][0], seed[0][0])
    test_eq((test[0][0].shape, test[0][1].tolist()), ((4, 3, 32, 32), [0, 0, 1, 1]))
    test_eq((data.mean, data.std), ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    assert x.dtype == torch.float32 and x.is_contiguous(memory_format=torch.channels_last)


def test_streamed_test_images_are_those_of_torchvision():
    from torchvision.models import ResNet34_Weights

    pixels = np.random.default_rng(0).integers(0, 256, (2, 300, 400, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as root:
        for part, image in (("train", 0), ("train", 1), ("val", 0), ("val", 1)):
            Path(root, part, "cat").mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[image]).save(Path(root, part, "cat", f"{image}.png"))
        data = imagenet(root, workers=0)
        ((x, _),) = data.test_batches()
        ((plain, _),) = data.train_batches(2, 0, 0, augment=False)  # both images, in the epoch's order
    preset = ResNet34_Weights.IMAGENET1K_V1.transforms()
    expected = torch.stack([preset(Image.fromarray(image)) for image in pixels])
    test_close(x, expected, eps=1e-5)
    test_close(plain, expected[torch.randperm(2, generator=generator(0, 0))], eps=1e-5)


def test_boxes_are_those_of_the_recipe():
    ramp = np.arange(256, dtype=np.uint8)
    red = np.tile(ramp, (256, 1))
    image = np.stack([red, red.T, np.zeros_like(red)], -1)
    with tempfile.TemporaryDirectory() as root:
        for part in ("train", "val"):
            Path(root, part, "cat").mkdir(parents=True)
            Image.fromarray(image).save(Path(root, part, "cat", "0.png"))
        data = replace(imagenet(root, size=64, workers=0), mean=(0, 0, 0), std=(1 / 255,) * 3)
        x = torch.cat([x for epoch in range(60) for x, _ in data.train_batches(1, 0, epoch)])  # (60, 3, 64, 64)
    scale = 64 / 63  # from the first pixel's middle to the last's
    width, height = (x[:, 0, 32, -1] - x[:, 0, 32, 0]) * scale, (x[:, 1, -1, 32] - x[:, 1, 0, 32]) * scale
    area, ratio = width.abs() * height / 256**2, width.abs() / height
    assert 0.07 < area.min() < 0.2 and 0.8 < area.max() <= 1.02  # 0.08 to 1, give or take a rounded edge
    assert 0.72 < ratio.min() < 0.85 and 1.18 < ratio.max() < 1.38  # 3/4 to 4/3
    assert 15 < (width < 0).sum() < 45  # half of them mirrored
    assert len(set(x[:, 0, 32, 0].tolist())) > 40  # boxes lie anywhere


def test_a_file_that_is_no_image_is_named():
    with tempfile.TemporaryDirectory() as root:
        for part in ("train", "val"):
            Path(root, part, "cat").mkdir(parents=True)
            Image.new("RGB", (50, 40)).save(Path(root, part, "cat", "0.png"))
        broken, whole = Path(root, "train", "cat", "1.png"), Path(root, "train", "cat", "0.png").read_bytes()
        data = imagenet(root, size=32, workers=0)
        for content in (b"no image", whole[:60], whole.replace(b"IDAT", b"ID@T")):
            broken.write_bytes(content)
            data = imagenet(root, size=32, workers=0)
            test_fail(lambda: list(data.train_batches(2, 0, 0)), contains="1.png can't be read as a image")
        test_fail(lambda: imagenet(Path(root, "nowhere")), contains="val/CLASS/ (or test)")
        test_fail(lambda: imagenet(root, workers=-1), contains="workers is -1")


def test_data_sets_by_name():
    test_eq(load_data("shapes").name, "shapes")
    test_fail(lambda: load_data("cifar11"), contains="did you mean cifar1")
    for name in ("folder", "imagenet"):
        test_fail(lambda: load_data(name), contains=f"{name} needs --data_dir")
    with tempfile.TemporaryDirectory() as root:
        for part in ("train", "test"):
            Path(root, part, "cat").mkdir(parents=True)
            Image.new("RGB", (50, 40)).save(Path(root, part, "cat", "0.png"))
        sizes = [
            next(load_data(name, root, image_size=size, workers=0).test_batches())[0].shape[-1]
            for name, size in (("folder", None), ("folder", 48), ("imagenet", None), ("imagenet", 64))
        ]
    test_eq(sizes, [32, 48, 224, 64])
