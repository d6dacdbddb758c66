"""Generated from nbs/distillation/37_provenance.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.training.provenance import *


import subprocess
import tempfile
from pathlib import Path

import torch
from fastcore.test import test_eq

from moonshine.data.drawing import shapes
from moonshine.training.recipe import Recipe


def test_a_machine_has_a_processor():
    here = machine(torch.device("cpu"))
    assert here["processor"] and here["cores"] > 0 and here["gpu"] is None
    assert set(here["flags"]) <= set(VECTOR_UNITS)
    test_eq((here["torch"], here["python"]), tuple(versions()[name] for name in ("torch", "python")))


def test_a_changed_checkout_is_dirty():
    with tempfile.TemporaryDirectory() as folder:
        test_eq(commit(Path(folder)), None)  # no checkout
        git = ["git", "-C", folder, "-c", "user.name=a", "-c", "user.email=a@b.c"]
        Path(folder, "file").write_text("1")
        for words in ("init -q", "add file", "commit -q -m first"):
            subprocess.run(git + words.split(), check=True)
        first = subprocess.run(git + ["rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
        test_eq(commit(Path(folder)), first)
        Path(folder, "file").write_text("2")
        test_eq(commit(Path(folder)), first + "-dirty")


def test_what_a_run_was_made_with():
    data = shapes(train=32, test=16)
    made = run_provenance(data, Recipe(seed=7), torch.device("cpu"))
    test_eq((made["seed"], made["images"], made["torch"]), (7, data.fingerprint(), torch.__version__))
