"""Generated from nbs/distillation/32_precision.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.training.precision import *


import os
from unittest.mock import patch

import torch
from fastcore.test import test_eq


def test_auto_takes_bf16_only_where_it_is_faster():
    cpu = torch.device("cpu")
    for gain, name in ((0.3, "float32"), (1.1, "float32"), (2.5, "bfloat16"), (0.0, "float32")):
        with patch.dict(uses_bf16.__globals__, bf16_gain=lambda device: gain):
            assert precision_words("auto", cpu).startswith(f"{name}, chosen: bfloat16 is {gain:.2f} times")
    test_eq([precision_words(amp, cpu) for amp in ("none", "bf16")], ["float32", "bfloat16"])
    assert bf16_gain(cpu) > 0


def test_deterministic_is_asked_for():
    with patch.dict(os.environ):
        try:
            deterministic()
            assert torch.are_deterministic_algorithms_enabled() and os.environ["CUBLAS_WORKSPACE_CONFIG"]
        finally:
            torch.use_deterministic_algorithms(False)
