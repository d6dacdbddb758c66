"""Generated from nbs/core/03_notation.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.blocks.notation import *


from dataclasses import replace

from fastcore.test import test_eq, test_fail

from moonshine.blocks.layers import Layer


def k_layers(block, inp, out, stride, where, dilation):
    return [Layer("conv", inp, out, block.kernel, stride, dilation=dilation)]


K = Family("k", "a full k×k convolution", k_layers, notation=(Form("K{kernel}"),))


def test_a_form_reads_what_it_writes():
    form = Form("G(N/{group_size})", dict(groups=None))
    test_eq(form.read("G(N/8)"), dict(groups=None, group_size=8))
    test_eq(form.read("G(8)"), None)
    test_eq(form.write(Block("separable", groups=None, group_size=8)), "G(N/8)")
    test_eq(form.write(Block("separable", groups=8)), None)  # eight groups are not groups of eight


def test_a_block_is_written_in_notation_or_as_name_and_layout():
    test_eq(canonical_text(Block("k", kernel=5), K), "K5")
    test_eq(canonical_text(Block("k", "Old", kernel=5), K), "K5/Old")
    named = replace(K, names=(Form("Kernel{kernel}"),))
    test_eq(canonical_text(Block("k", "Old", kernel=5), named), "Kernel5/Old")
    test_fail(lambda: canonical_text(Block("k", contraction=2), K), contains="has no name for Block")


def test_a_text_is_read_in_its_layout():
    test_eq(read_block(K, "K5", None, "K5"), Block("k", kernel=5))
    test_eq(read_block(K, "K5", "Old", "K5"), Block("k", "Old", kernel=5))
    test_eq(read_block(K, "L5", None, "L5"), None)
    named = replace(K, names=(Form("Kernel{kernel}"),))
    test_eq(read_block(named, "Kernel5", "Old", "Kernel5"), Block("k", "Old", kernel=5))
    test_fail(lambda: read_block(named, "K5", "Old", "K5"), contains="write Kernel5 for the same convolution")


def test_examples_fill_in_the_holes():
    test_eq(examples(K.forms), ["K3"])
    test_eq(examples([Form("BG({contraction},M/{group_size})")]), ["BG(2,M/8)"])


def test_overlapping_forms_are_found():
    test_eq(overlap(Form("G({groups})"), Form("G({groups})")), True)
    test_eq(overlap(Form("G({groups})"), Form("G(N)")), False)
    test_eq(overlap(Form("G({groups})"), Form("G(16)")), True)
    test_eq(overlap(Form("X{groups}2"), Form("X1{contraction}")), True)  # both match X12
    test_eq(overlap(Form("X{groups}A"), Form("X{groups}B")), False)
    test_eq(overlap(Form("module({source})"), Form("module(N)")), True)


def test_a_family_in_one_record():
    with registered_block(K):
        test_eq(parse_block("K5"), Block("k", kernel=5))
        for text in ("K5", "K7/Old", "K5/Bottle"):
            test_eq(str(parse_block(text)), text)
        test_eq(parse_block("K5", "Old"), parse_block("K5/Old"))
        register_block(K)  # the same definition again is no collision
    assert "k" not in FAMILIES
    test_fail(lambda: parse_block("K5"), contains="unknown block 'K5'")


def test_a_record_with_a_mistake_is_refused():
    for change, why in [
        (dict(name="k k"), "its name must be an identifier"),
        (dict(about=""), "`about` is missing"),
        (dict(notation=()), "it can't be written"),
        (dict(layers=None), "`layers` must be a function"),
        (dict(layout="Bottel"), "its layout must be one of Basic, Bottle, Old"),
        (dict(notation=(Form("K{size}"),)), "has no field size"),
        (dict(notation=(Form("K/Old"),)), "end in the name of a layout"),
        (dict(notation=(Form("K{groups}"), Form("K4", dict(groups=4)))), "K{groups} and K4 match the same text"),
    ]:
        test_fail(lambda: register_block(replace(K, **change)), contains=why)
    with registered_block(K):
        test_fail(lambda: register_block(replace(K, about="other")), contains="k is registered already")
        same_text = replace(K, name="l", notation=(Form("K3"),))
        test_fail(lambda: register_block(same_text), contains="matches the same text as K{kernel} of k")
