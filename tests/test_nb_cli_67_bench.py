"""Generated from nbs/cli/67_bench.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.cli.bench_commands import *


import contextlib
import io

from fastcore.test import test_eq


def test_a_missing_folder_is_refused_first():
    from moonshine.cli.program import main

    with contextlib.redirect_stderr(io.StringIO()) as err:
        test_eq(main(["bench", "--json", "nowhere/times.json"]), 2)
    assert "there is no folder" in err.getvalue()
