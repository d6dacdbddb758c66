"""Generated from nbs/15b_loss_panels.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.loss_panels import *


import math, os, threading, time
from unittest.mock import patch
import torch
from torch.nn import functional as F
from fastcore.test import test_eq, test_close, test_fail
from moonshine.losses import kd_loss, soft_weight
os.environ["MOONSHINE_RAISE"] = "1"    # a callback that fails fails the test


def test_the_laboratory_is_kd_loss():
    for case, (s, t) in KD_CASES.items():
        s, t = (torch.tensor([z], dtype=torch.float64) for z in (s, t))
        s.requires_grad_()
        for T, alpha, convention in ((1.0, 0.5, "code"), (4.0, 0.9, "paper"), (8.0, 1.0, "code")):
            data, loss = kd_laboratory(case, T, alpha, convention), kd_loss(s, t, torch.tensor([3]), T, alpha, convention)
            test_close(data["total"], loss.item(), 1e-12)
            test_close(data["pulls"]["total"], torch.autograd.grad(loss, s)[0][0], 1e-12)
            test_close(data["teacher"].sum(), 1, 1e-12)
    test_fail(lambda: kd_laboratory("student=teacher"), contains="did you mean student = teacher")


def test_without_alpha_it_is_cross_entropy():
    for case, (s, t) in KD_CASES.items():
        e = [math.exp(z) for z in s]
        onehot = [float(i == 3) for i in range(10)]              # the label, cat
        for T, convention in ((1.0, "code"), (16.0, "paper")):
            data = kd_laboratory(case, T, 0.0, convention)
            test_close(data["total"], -math.log(e[3] / sum(e)), 1e-12)
            test_close(data["pulls"]["total"].tolist(), [v / sum(e) - o for v, o in zip(e, onehot)], 1e-12)
            test_eq(data["pulls"]["soft"].abs().max().item(), 0)


def test_the_soft_term_stops_at_the_entropy():
    for T in (1.0, 4.0, 16.0):
        paper, code = (kd_laboratory("student = teacher", T, 1.0, convention) for convention in ("paper", "code"))
        entropy = -sum(p * math.log(p) for p in paper["teacher"].tolist())
        test_close([paper["floor"], paper["terms"]["soft"]], [entropy, entropy], 1e-12)
        test_close([code["floor"], code["terms"]["soft"]], [0, 0], 1e-12)
        for data in (paper, code): test_close(data["pulls"]["total"], torch.zeros(10), 1e-12)   # and yet no pull is left
        assert paper["total"] > 0.3 * 2 * T**2
    for case in KD_CASES:
        for convention in ("paper", "code"):
            data = kd_laboratory(case, 4.0, 0.9, convention)
            assert data["terms"]["soft"] >= data["floor"] - 1e-12


def test_temperature_squared_keeps_the_scale():
    for case, (s, t) in KD_CASES.items():
        s, t = (torch.tensor(z, dtype=torch.float64) for z in (s, t))
        limit = 2 * 0.9 / 10 * ((s - s.mean()) - (t - t.mean()))
        far = kd_laboratory(case, 1e4, 0.9, "paper")["pulls"]["soft"]
        test_close(far, limit, 2e-3)
        if case == "student = teacher": continue
        size = {T: kd_laboratory(case, T, 0.9, "paper")["pulls"]["soft"].norm().item() for T in (1, 4, 16, 64)}
        assert all(1 / 5 < size[T] / size[1] < 5 for T in size)              # with T²: of one order
        assert size[64] / 64**2 < 1e-3 * size[1]                             # without it: gone
        test_close(size[64] / 64**2 / (size[16] / 16**2), 1 / 16, 0.02)      # like 1/T²


def test_kd_panel_makes_its_point():
    panel = kd_panel()
    now, then = (unlikely_share(pull, panel.data["teacher_at_1"]) for pull in (panel.data["pulls"]["soft"], panel.data["soft_at_1"]))
    assert now > 3 * then and f"{100 * then:.0f} %" in panel.text
    assert "2T²α = 28.8; the released code uses a tenth" in panel.text and "can't be learned away" in panel.text
    panel.controls["convention"].value = "code"
    assert "2T²α/10 = 2.88; a tenth of the 28.8" in panel.text and "does reach 0" in panel.text
    n = panel.renders
    panel.press("learned by heart")
    assert "100 % of its value can't be learned away" in panel.text and "pulls on no logit" in panel.text
    test_eq(panel.renders, n + 1)                                # three controls, one redraw
    panel.press("no distillation")
    test_eq(panel.data["weights"]["soft"], 0)
