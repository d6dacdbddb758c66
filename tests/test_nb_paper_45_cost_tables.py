"""Generated from nbs/paper/45_cost_tables.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.paper.cost_tables import *


from fastcore.test import test_eq, test_fail

from moonshine.blocks.families import parse_block
from moonshine.costs.counting import paper_parameters, text_table
from moonshine.models.wide_resnet import wrn


def test_released_names_build_table_2():
    for row in paper_table(2):
        test_eq(parse_block(row["conv"], row["blocktype"]), parse_block(row["block"]))


def test_the_52_totals_of_table_2():
    rows = [row for dataset in ("cifar10", "cifar100") for row in table2(dataset)]
    differ = [row for row in rows if row["parameters"] != row["printed"]]
    print(f"{len(rows) - len(differ)} of {len(rows)} totals agree")
    test_eq(len(rows), 52)
    test_eq(
        [(row["block"], row["parameters"], row["printed"]) for row in differ], [("BG(2,M/16)", 243_706, 234_704)]
    )
    print(differ[0]["note"])
    test_fail(lambda: table2("mnist"), contains="unknown dataset of Table 2 'mnist'")


def test_the_trap_in_g8b2():
    test_eq(paper_parameters(wrn(40, 2, parse_block("G8B2"))), 383_482)
    test_eq(paper_parameters(wrn(40, 2, parse_block("G8B2", "Bottle"))), 195_322)


def test_cheap_blocks_are_cheaper():
    rows = block_costs(["S", "G(N/8)", "BG(2,M/8)"], depth=16, width=1)
    for column in ("parameters", "mult_adds", "saved_bytes"):
        assert rows[0][column] > rows[1][column] > rows[2][column], column
    test_fail(lambda: block_costs(["G8"]), contains="unknown block 'G8'")
