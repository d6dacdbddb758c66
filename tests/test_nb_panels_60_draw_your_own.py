"""Generated from nbs/panels/60_draw_your_own.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.panels.draw import *


import base64
import re
import zlib

import numpy as np
import torch
from fastcore.test import test_close, test_eq, test_fail
from torch import nn
from torch.nn import functional as F

from moonshine.costs.counting import mult_adds, parameters
from moonshine.losses.attention import activations
from moonshine.panels.base import show
from moonshine.panels.live import live_page
from moonshine.pretrained import TRAINED, network_input, test_images, trained_network


def test_folding_changes_nothing():
    torch.manual_seed(0)
    chain = nn.Sequential(nn.Conv2d(8, 8, 3, 2, 1, groups=4, bias=False), nn.BatchNorm2d(8), nn.ReLU())
    chain[1].running_mean.uniform_(-1, 1)
    chain[1].running_var.uniform_(0.5, 2)
    nn.init.uniform_(chain[1].bias)
    x = torch.randn(2, 8, 6, 6).double()
    (conv,) = fold(chain)
    folded = F.conv2d(x, conv["weight"], conv["bias"], stride=conv["stride"], padding=1, groups=conv["groups"])
    test_close(folded.relu(), chain.double().eval()(x), 1e-12)
    assert conv["relu"]
    test_fail(lambda: fold([nn.Linear(2, 2)]), contains="can't fold a Linear")


def test_packed_numbers_come_back():
    numbers = [torch.tensor([[1.5, -2.25]]), torch.tensor([1 / 3, 6e-6])]
    for half, kind, tolerance in ((True, "<f2", 1e-3), (False, "<f4", 1e-9)):
        planes = np.frombuffer(zlib.decompress(base64.b64decode(pack(numbers, half))), np.uint8)
        back = planes.reshape(np.dtype(kind).itemsize, -1).T.copy().view(kind).ravel()
        test_eq(back[:2].tolist(), [1.5, -2.25])
        assert np.allclose(back.astype(float), [1.5, -2.25, 1 / 3, 6e-6], rtol=tolerance, atol=1e-7)


def test_the_panel_is_one_page_of_600_kB():
    panel = draw_panel()
    page = live_page("draw", panel.page_data())
    assert len(page.encode()) < 600_000, len(page.encode())
    assert not re.search(r'(src|href)="?http', page)
    assert panel.text == describe_answers(panel.data) and panel.png[1:4] == b"PNG"
    test_eq(panel.text.count("says"), 3)
    test_eq(len(panel.given["scenes"]), len(STARTS) + 1)
    assert "Nothing is drawn" in draw_panel(len(STARTS)).text
    test_fail(lambda: draw_panel(6), contains="choose one from 0 to 5")
    test_fail(lambda: draw_panel(names=("techer",)), contains="did you mean teacher")
    print(f"{len(page.encode()):,} bytes")


def test_half_precision_changes_no_answer():
    x = network_input(test_images().images)
    for name in NAMES:
        with torch.no_grad():
            exact = trained_network(name)(x).softmax(1)
            rounded = trained_network(name).half().float().eval()(x).softmax(1)
        test_eq((exact.argmax(1) != rounded.argmax(1)).sum().item(), 0)
        largest = (exact - rounded).abs().max().item()
        assert largest < 0.01
        print(f"{name}: largest change of a probability {100 * largest:.2f} percentage points")
