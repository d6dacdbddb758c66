"""Generated from nbs/core/20_images.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.data.images import *


from dataclasses import replace

import torch
from fastcore.test import test_close, test_eq, test_fail

from moonshine.data.drawing import segmentation_shapes, shapes


def test_some_of_the_images():
    images = ImageSet(torch.randint(0, 256, (5, 3, 8, 8), dtype=torch.uint8), torch.arange(5))
    some = images.select(torch.tensor([4, 0]))
    test_eq((len(some), some.labels.tolist()), (2, [4, 0]))
    test_eq(some.images[0], images.images[4])


def test_shares_make_up_the_batch():
    batch = [3, 1, 4, 5, 9]
    for size in (1, 2, 3, 5):
        shares = [take(batch, slice(k, None, size)) for k in range(size)]
        test_eq(sorted(sum(shares, [])), sorted(batch))
    test_eq([take(torch.arange(7, 9), slice(k, None, 4)).tolist() for k in range(4)], [[7], [8], [7], [7]])


def test_a_dataset_states_its_augmentation():
    test_eq(shapes(train=10, test=10).augmentation, ("pad_crop", "flip"))
    test_eq(replace(shapes(train=10, test=10), augmentation=("none",)).augmentation, ())
    test_fail(
        lambda: replace(shapes(train=10, test=10), augmentation=["crop"]), contains="unknown augmentation 'crop'"
    )


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


def test_color_statistics_by_hand():
    images = torch.randint(0, 256, (20, 3, 8, 8), dtype=torch.uint8)
    mean, std = color_statistics(images)
    test_close(mean, (images.double() / 255).mean((0, 2, 3)).tolist())
    test_close(std, (images.double() / 255).std((0, 2, 3), unbiased=False).tolist())
    images[:, 2] = 77  # one color is the same everywhere
    test_eq(color_statistics(images)[1][2], 1)


def test_normalized_images_have_mean_0_and_deviation_1():
    data = shapes(train=500, test=10)
    x = torch.cat([x for x, y in data.train_batches(100, 0, 0, augmentation=())])
    test_close(x.mean((0, 2, 3)), torch.zeros(3), eps=1e-4)
    test_close(x.std((0, 2, 3)), torch.ones(3), eps=1e-3)


def test_a_last_batch_of_one_joins_the_one_before():
    test_eq(batch_sizes(100, 25), [25] * 4)
    test_eq(batch_sizes(103, 25), [25, 25, 25, 25, 3])
    test_eq(batch_sizes(101, 25), [25, 25, 25, 26])
    test_eq(batch_sizes(1, 25), [1])
    test_eq(batch_sizes(3, 1), [1, 1, 1])
    test_eq(batch_sizes(0, 25), [])
    data = shapes(train=21, test=10)
    test_eq([len(x) for x, y in data.train_batches(10, 0, 0)], [10, 11])
    whole = torch.cat([y for x, y in data.train_batches(10, 0, 0)])
    resumed = torch.cat([y for x, y in data.train_batches(10, 0, 0, skip=10)])
    test_eq(whole[10:], resumed)


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
    rest = list(data.train_batches(32, 0, 3, skip=32))  # the epoch resumes after its first batch
    test_eq(len(rest), 2)
    for (x, y), (x2, y2) in zip(first[1:], rest):
        test_eq(x, x2)
        test_eq(y, y2)
    test_eq(list(data.train_batches(32, 0, 3, skip=70)), [])


def test_a_recipe_may_list_its_own_augmentations():
    data = shapes(train=30, test=10)


    def epoch(augmentation, data=data):
        return next(data.train_batches(30, 0, 0, augmentation=augmentation))[0]


    test_eq(epoch(None), epoch(("pad_crop", "flip")))
    test_eq(epoch(None, replace(data, augmentation=())), epoch(()))
    test_eq(epoch(("none",)), epoch(()))
    assert not torch.equal(epoch(()), epoch(None))
    black = normalize(torch.zeros(1, 3, 1, 1, dtype=torch.uint8), data.normalization())
    moved, hidden = epoch(None), epoch(("pad_crop", "flip", "cutout"))
    same = (hidden == moved).all(1) | (hidden == black).all(1)  # (30, 32, 32)
    assert same.all() and not torch.equal(hidden, moved)


def test_shares_are_the_rows_of_the_whole_batch():
    data = shapes(train=34, test=30)


    def train(share):
        return data.train_batches(16, 0, 3, share=share)


    def test(share):
        return data.test_batches(14, share=share)


    for batches in (train, test):
        shares = zip(*(batches(slice(k, None, 3)) for k in range(3)))
        for (x, y), parts in zip(batches(slice(None)), shares, strict=True):
            for k, (mine, labels) in enumerate(parts):
                rows = list(range(k, len(y), 3)) or [0]
                test_eq(mine, x[rows])
                test_eq(labels, y[rows])


def test_batches_do_not_touch_the_global_generator():
    data = shapes(train=20, test=10)
    torch.manual_seed(5)
    before = torch.rand(1)
    torch.manual_seed(5)
    list(data.train_batches(8, 0, 0, augmentation=("pad_crop", "flip", "cutout")))
    test_eq(torch.rand(1), before)


def test_a_label_map_moves_with_its_image():
    data = segmentation_shapes(train=60, test=10)
    painted = replace(data.train, images=data.train.labels[:, None].repeat(1, 3, 1, 1).to(torch.uint8))
    data = replace(data, train=painted, mean=(0, 0, 0), std=(1 / 255,) * 3)  # batches hold the pixels as they are
    plain = list(data.train_batches(20, 0, 0, augmentation=()))
    for (x, y), (_, unmoved) in zip(data.train_batches(20, 0, 0), plain):
        test_eq((y.shape, y.dtype), ((20, 32, 32), torch.int64))
        for channel in range(3):
            test_eq(x[:, channel].round().long(), y)
        assert not torch.equal(y, unmoved) and torch.equal(y.amax((1, 2)), unmoved.amax((1, 2)))
    test_eq(next(data.test_batches(10))[1], data.test.labels)
