"""Generated from nbs/core/23_folders.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.data.folders import *


import os
import tempfile
import warnings
from pathlib import Path

import numpy as np
from fastcore.test import test_eq, test_fail
from PIL import Image

ramp = np.arange(16, dtype=np.uint8).reshape(4, 4) * 17  # 0, 17, ..., 255
gray = np.repeat(ramp[..., None], 3, 2)


def read_back(image, name, **options):
    with tempfile.TemporaryDirectory() as root:
        image.save(Path(root, name), **options)
        return np.asarray(open_image(Path(root, name)))


def test_class_folders_are_sorted():
    with tempfile.TemporaryDirectory() as root:
        root = Path(root)
        test_fail(lambda: class_folders(root), contains="has no class folders")
        names = ("dog/2.png", "dog/10.JPG", "dog/images/deep/1.png", "cat/1.png", ".hidden/3.png")
        for name in (*names, "cat/notes.txt", "cat/._1.png", "cat/.DS_Store", "cat/.thumbs/1.png"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = class_folders(root)
        names = {name: [path.relative_to(root).as_posix() for path in paths] for name, paths in found.items()}
        test_eq(names, dict(cat=["cat/1.png"], dog=["dog/10.JPG", "dog/2.png", "dog/images/deep/1.png"]))
        test_eq(len(said), 2)
        assert "skipped 3 hidden files" in str(said[0].message), said[0].message
        assert str(said[1].message).endswith("skipped 1 files that are no images: notes.txt")
        (root / "cat" / "1.png").unlink()
        test_fail(lambda: class_folders(root), contains="cat holds no images")


def test_images_are_read_as_they_look():
    test_eq(read_back(Image.fromarray(ramp), "gray.png"), gray)
    test_eq(read_back(Image.fromarray(ramp.astype(np.uint16) * 257), "sixteen_bits.png"), gray)
    test_eq(read_back(Image.fromarray(ramp.astype(np.int32) * 257), "sixteen_bits.tif"), gray)
    test_eq(read_back(Image.fromarray(ramp.astype(np.float32) / 255), "floats.tif"), gray)
    test_eq(read_back(Image.fromarray(ramp.astype(np.float32)), "floats.tiff"), gray)
    test_eq(read_back(Image.fromarray(ramp > 100), "bits.png")[0, 0].tolist(), [0, 0, 0])


def test_a_photo_is_turned_upright():
    turned = Image.fromarray(gray).getexif()
    turned[0x0112] = 6  # orientation: rotate by 90 degrees to see it upright
    test_eq(read_back(Image.fromarray(gray), "photo.png", exif=turned), np.rot90(gray, -1))
    test_eq(read_back(Image.fromarray(gray), "photo.tif", exif=turned), np.rot90(gray, -1))


def test_transparent_images_lie_on_white():
    color = np.zeros((1, 3, 4), np.uint8)
    color[0, :, 0] = 200  # red
    color[0, :, 3] = 0, 255, 51  # transparent, opaque, a fifth
    test_eq(read_back(Image.fromarray(color), "x.png").tolist(), [[[255] * 3, [200, 0, 0], [244, 204, 204]]])
    palette = Image.fromarray(np.uint8([[0, 1]])).convert("P")
    palette.putpalette([0, 0, 0, 0, 0, 255])
    test_eq(read_back(palette, "x.gif", transparency=0).tolist(), [[[255] * 3, [0, 0, 255]]])
    gray_alpha = Image.fromarray(np.uint8([[[0, 0], [0, 255]]]), "LA")
    test_eq(read_back(gray_alpha, "x.png").tolist(), [[[255] * 3, [0] * 3]])


def test_files_that_are_no_images_are_named():
    with tempfile.TemporaryDirectory() as root:
        path = Path(root, "x.png")
        path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n")
        test_fail(lambda: open_image(path), contains="x.png can't be read as an image (it is none of JPEG, PNG")
        Image.effect_noise((32, 32), 50).save(path)
        path.write_bytes(path.read_bytes()[:300])  # a download that was cut off
        test_fail(lambda: open_image(path), contains="x.png can't be read as an image")
        Image.fromarray(np.float32([[-3, 1]])).save(Path(root, "x.tif"))
        test_fail(lambda: open_image(Path(root, "x.tif")), contains="its values go from -3 to 1; they must be in")
        Image.fromarray(np.int32([[0, 2**20]])).save(Path(root, "x.tif"))
        test_fail(lambda: open_image(Path(root, "x.tif")), contains="must be in 0 ... 65535")
        Image.new("1", (20_000, 6_000)).save(path)
        test_fail(lambda: open_image(path), contains="more than 100,000,000 pixels")
        os.mkfifo(Path(root, "pipe.png"))
        test_fail(lambda: open_image(Path(root, "pipe.png")), contains="not a regular file")


def test_a_folder_of_images():
    def write_folder(root, sizes=((32, 32), (40, 60))):
        for blue, part in ((0, "train"), (100, "val")):
            for number, name in enumerate(("cat", "dog")):
                Path(root, part, name).mkdir(parents=True)
                for i, size in enumerate(sizes):
                    Image.new("RGB", size, (0, 100 * number, i + blue)).save(Path(root, part, name, f"{i}.png"))


    with tempfile.TemporaryDirectory() as root:
        write_folder(root)
        data = folder(root)
        test_eq((data.classes, data.train.labels.tolist()), (("cat", "dog"), [0, 0, 1, 1]))
        test_eq(data.train.images[:, :, 5, 5].tolist(), [[0, 0, 0], [0, 0, 1], [0, 100, 0], [0, 100, 1]])
        Path(root, "val", "dog", "1.png").write_bytes(b"no image")
        test_fail(lambda: folder(root), contains="1.png can't be read as an image")
        for file in Path(root, "val", "dog").iterdir():
            file.unlink()
        test_fail(lambda: folder(root), contains="dog holds no images")
        test_fail(lambda: folder(Path(root, "nowhere")), contains="no folder")


def test_both_parts_need_the_same_classes():
    with tempfile.TemporaryDirectory() as root:
        for name in ("train/cat", "train/cow", "test/cat"):
            Path(root, name).mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(Path(root, name, "0.png"))
        test_fail(lambda: folder(root), contains="differ in classes: cow")


def test_images_in_both_parts_are_reported():
    with tempfile.TemporaryDirectory() as root:
        for number, name in enumerate(("train/cat/a", "train/dog/b", "test/cat/c", "test/dog/d")):
            Path(root, name).parent.mkdir(parents=True)
            Image.new("RGB", (8, 8), (number % 3, 0, 0)).save(Path(root, f"{name}.png"))  # d is a
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            folder(root)
        assert "1 of 2 test images are also training images" in str(said[0].message), said
