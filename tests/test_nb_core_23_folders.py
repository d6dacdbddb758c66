"""Generated from nbs/core/23_folders.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.data.folders import *


import tempfile
from pathlib import Path

from fastcore.test import test_eq, test_fail
from PIL import Image


def test_class_folders_are_sorted():
    with tempfile.TemporaryDirectory() as root:
        test_fail(lambda: class_folders(Path(root)), contains="has no class folders")
        for name in ("dog/2.png", "dog/10.JPG", "cat/1.png", "cat/notes.txt", ".hidden/3.png"):
            Path(root, name).parent.mkdir(exist_ok=True)
            Path(root, name).touch()
        found = {name: [path.name for path in paths] for name, paths in class_folders(Path(root)).items()}
        test_eq(found, dict(cat=["1.png"], dog=["10.JPG", "2.png"]))
        Path(root, "cat", "1.png").unlink()
        test_fail(lambda: class_folders(Path(root)), contains="cat holds no images")


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
