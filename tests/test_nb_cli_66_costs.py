"""Generated from nbs/cli/66_costs.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.cli.cost_commands import *


import contextlib
import io

from fastcore.test import test_eq


def run(*arguments):
    "Exit status, standard output and standard error of a command line."
    from moonshine.cli.program import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(list(arguments))
    return status, out.getvalue(), err.getvalue()


def test_costs_prints_the_totals():
    status, out, err = run("costs", "--table", "2")
    test_eq(status, 0)
    assert "cifar10: 25 of 26 totals are the paper's" in out and "cifar100: 26 of 26" in out and "243,706" in out
    for number, total in (("1", "17,408"), ("3", "8,177,832"), ("4", "503,956")):
        status, out, err = run("costs", "--table", number)
        test_eq((status, err), (0, ""))
        assert total in out and f"Table {number}: " in out, out
    print(run("costs", "S", "G8B2")[1])


def test_costs_measures_when_asked():
    status, out, err = run("costs", "S", "G(N)", "--wrn_depth", "10", "--wrn_width", "0.5", "--latency")
    test_eq((status, err), (0, ""))
    assert "peak activation bytes" in out and "ms at batch 128" in out and "threads: " in out
    status, out, err = run("costs", "S", "--latency", "--table", "2")
    test_eq((status, out), (2, ""))
    assert "leave out the blocks and --latency" in err


def test_blocks_are_listed():
    from moonshine.blocks.families import FAMILIES

    status, out, err = run("blocks")
    test_eq((status, err, out.count("\n")), (0, "", len(FAMILIES) + 1))
    for notation in ("S-2x2", "G(4)", "B(2)", "BG(2,M/8)", "ACDC"):
        assert notation in out, notation
    print(out)


def test_networks_are_listed():
    status, out, err = run("networks")
    test_eq((status, err), (0, ""))
    for name in ("wrn", "resnet18", "resnet34", "resnet18_half", "erfnet"):
        assert f"\n{name} " in "\n" + out, name
    print(out)
