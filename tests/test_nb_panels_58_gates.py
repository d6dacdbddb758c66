"""Generated from nbs/panels/58_gates.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.panels.gates import *


import os
from contextlib import redirect_stdout
from io import StringIO

import torch
from fastcore.test import test_eq, test_fail

os.environ["MOONSHINE_RAISE"] = "1"  # a callback that fails fails the test


def test_a_guess_is_judged():
    test_eq(judge(8, 8), dict(close=True, verdict="exactly right"))
    test_eq(judge(64, 8), dict(close=False, verdict="8 times too high"))
    test_eq(judge(4, 5)["close"], True)  # a factor of 1.25
    test_eq(judge(3.9, 5), dict(close=False, verdict="1.28 times too low"))
    test_eq(judge(0, 2), dict(close=False, verdict="off by 2"))
    test_eq([judge(word, "S")["close"] for word in ("S", "G(N)")], [True, False])


def test_the_answer_is_nowhere_before_the_commit():
    asked = []


    def answer():
        asked.append(1)
        return 4321


    panel = predict_gate("How many?", answer, "weights", because="So it is.")
    before = panel.image.value + panel.status.value + panel.text + repr(panel.data)
    assert not asked and "4321" not in before and "4,321" not in before
    panel.controls["guess"].value = 5000
    assert not asked and "4,321" not in panel.text
    first = panel.png
    panel.press("Commit")
    assert "You said 5,000 weights; it is 4,321 weights: 1.16 times too high. So it is." in panel.text
    assert panel.png != first and panel.controls["guess"].disabled and panel.buttons["Commit"].disabled
    panel.press("Commit")
    test_eq((len(asked), panel.data["close"]), (1, True))
    test_fail(lambda: predict_gate("How many?", 4321), contains="give a function")


def test_a_gate_with_choices():
    GUESSES.clear()
    panel = predict_gate("Which is smaller?", lambda: "G(N)", choices=["S", "G(N)"])
    panel.press("Commit")
    assert "You said S; it is G(N): wrong." in panel.text and "(0 of 1 guesses close so far.)" in panel.text
    panel = predict_gate("And which is larger?", lambda: "S", choices=["S", "G(N)"])
    panel.press("Commit")
    assert "it is S: right." in panel.text and "(1 of 2 guesses" in panel.text


def test_a_check_tells_right_from_wrong():
    def printed(*args, **options):
        with redirect_stdout(StringIO()) as out:
            check(*args, **options)
        return out.getvalue()


    test_eq(printed(..., lambda: 1 / 0), "Waiting for your answer.\n")
    test_eq(printed(36_864, lambda: 9 * 64 * 64), "Right: 36864\n")
    assert printed(0.333, 1 / 3, tolerance=1e-2).startswith("Right") and printed("S", "S").startswith("Right")
    assert printed(torch.ones(2, dtype=torch.float64), torch.ones(2)).startswith("Right") and printed(
        [1, 2.0], (1, 2)
    ).startswith("Right")
    for wrong, right in (
        (36_865, 36_864),
        (0.333, 1 / 3),
        ("s", "S"),
        (torch.ones(3), torch.ones(2)),
        ([1], [1, 2]),
        (None, 1),
        (True, 1),
    ):
        test_fail(lambda: check(wrong, right, "count the groups"), contains="is not it. count the groups")
