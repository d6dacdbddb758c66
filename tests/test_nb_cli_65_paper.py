"""Generated from nbs/cli/65_paper.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.cli.paper_commands import *


import contextlib
import io
import os
import tempfile
from pathlib import Path

from fastcore.test import test_eq

from moonshine.cli.program import main


def test_a_plan_is_printed_and_nothing_is_run():
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as out:
        settings = os.path.join(folder, "a.toml")
        arguments = ["reproduce", "table2", "--preset", "smoke", "--dry_run", "--out", folder]
        test_eq(main([*arguments, "--save_config", settings]), 0)
        test_eq(main(["reproduce", "--config", settings]), 0)
        test_eq(os.listdir(folder), ["a.toml"])
    assert "BG(2,2)" in out.getvalue(), out.getvalue()


def test_wrong_options_are_not_saved():
    wrong = ("--preset cup", "--rows G(3)", "--methods kdd", "--dataset cifar", "--seeds 0", "--epochs 0")
    wrong += (
        "--amp fp16",
        "--shard 5/4",
        "--parallel 0",
        "--device cud",
        "--images_per_class 0",
        "--save_every -1",
    )
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()) as err:
        save = ["--save_config", os.path.join(folder, "a.toml")]
        for words in wrong:
            test_eq((words, main(["reproduce", "table2", *words.split(), *save])), (words, 2))
        test_eq(main(["reproduce", "table5", *save]), 2)
        test_eq(os.listdir(folder), [])
    test_eq(err.getvalue().count("\n"), len(wrong) + 1)


def test_report_needs_results():
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()) as err:
        test_eq((main(["report", folder]), os.listdir(folder)), (2, []))
        assert "it holds no result.json; run `moonshine reproduce` first" in err.getvalue()
        test_eq(main(["report", str(Path(folder, "nowhere"))]), 2)
    test_eq(err.getvalue().count("\n"), 2)
