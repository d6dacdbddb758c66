"""Generated from nbs/core/04_custom_blocks.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.blocks.custom import *


import tempfile
from pathlib import Path

from fastcore.test import test_eq, test_fail
from torch import nn

from moonshine.blocks.notation import Block, parse_block
from moonshine.blocks.residual import residual_block


def test_a_file_of_your_own():
    folder = Path(tempfile.mkdtemp())
    (folder / "mine.py").write_text("import torch\nConv = torch.nn.Conv2d\n")
    own = use_module(folder / "mine.py")
    test_eq(str(own), "module(mine.py)/Basic")
    test_eq(
        [p.shape for p in residual_block(own, 8, 8).parameters()],  # the full convolution, by another way
        [p.shape for p in residual_block("S", 8, 8).parameters()],
    )
    (folder / "block.py").write_text(
        "from torch import nn\nclass Conv(nn.Conv2d): pass\n"
        "class Block(nn.Sequential):\n"
        "    def __init__(self, i, o, stride, conv):"
        " super().__init__(conv(i, o, 3, stride=stride, padding=1), nn.ReLU())\n"
    )
    test_eq(type(residual_block(use_module(folder / "block.py"), 8, 16, 2)).__name__, "Block")


def test_a_file_that_fails_says_why():
    folder = Path(tempfile.mkdtemp())
    for text, why in {
        "x = 1": "defines no Conv",
        "import nothing_of_this_name": "ModuleNotFoundError: No module named",
        "def (": "SyntaxError",
    }.items():
        (folder / "bad.py").write_text(text)
        test_fail(lambda: use_module(folder / "bad.py"), contains=why)
    test_fail(lambda: use_module(folder / "absent.py"), contains="no file")
    (folder / "odd.py").write_text("class Conv:\n    def __init__(self, a): pass\n")
    test_fail(
        lambda: residual_block(use_module(folder / "odd.py"), 8, 8),
        contains="Conv of odd.py can't be built: TypeError",
    )
    test_fail(lambda: residual_block("module(other.py)/Basic", 8, 8), contains="give it with --module")


def test_only_plain_convolutions_are_replaced():
    own = Block("module", source="mine.py")
    test_eq(own.record.unsuited(own, nn.Conv2d(8, 8, 3, padding=1, bias=False)), "")
    for conv in (nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 5, padding=2, bias=False)):
        assert "plain 3×3 convolutions" in own.record.unsuited(own, conv)
