"""Generated from nbs/core/03_notation.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.blocks.notation import *


from dataclasses import replace

from fastcore.test import test_eq, test_fail

from moonshine.blocks.layers import Layer, ModuleLayer
from moonshine.errors import InputError


def k_layers(block, inp, out, stride, where, dilation):
    return [Layer("conv", inp, out, block.kernel, stride, dilation=dilation)]


K = Family("k", "a full k×k convolution", k_layers, notation=(Form("K{kernel}"),))


def test_wrong_fields_of_a_block_are_refused():
    for wrong, why in [
        (dict(kernel=0), "start at 1"),
        (dict(kernel=4), "must be odd, or 2 as in S-2x2, not 4"),
        (dict(kernel=None), "the kernel of a block must be a whole number, not None"),
        (dict(groups="4"), "the groups of a block must be a whole number, not '4'"),
        (dict(groups=2.0), "must be a whole number, not 2.0"),
        (dict(groups=True), "must be a whole number, not True"),
        (dict(groups=None), "needs a number of groups"),
        (dict(blocktype="Bottel"), "unknown block type 'Bottel'; use Basic, Bottle or Old"),
        (dict(blocktype=["Old"]), "unknown block type ['Old']"),
    ]:
        test_fail(lambda: Block(**wrong), exc=InputError, contains=why)
    test_eq(Block(kernel=2).kernel, 2)  # S-2x2


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
        (dict(notation=[Form("K{kernel}")]), "`notation` must be a tuple of Forms"),
        (dict(notation="K{kernel}"), "`notation` must be a tuple of Forms"),
        (dict(names=("K{kernel}",)), "`names` must be a tuple of Forms"),
        (dict(notation=(Form("K({kernel"),)), "the form K({kernel is a broken template"),
        (dict(notation=(Form("K{}"),)), "the form K{} is a broken template"),
        (dict(notation=(Form("K{kernel!r}"),)), "is a broken template"),
        (dict(notation=(Form("K{kernel}x{kernel}"),)), "gives a field twice"),
        (dict(notation=(Form("K4", dict(kernel=4)),)), "the form K4 can't be read: the kernel of a block"),
        (dict(notation=(Form("K{groups}"), Form("K4", dict(groups=4)))), "K{groups} and K4 match the same text"),
    ]:
        test_fail(lambda: register_block(replace(K, **change)), contains=why)
    with registered_block(K):
        test_fail(lambda: register_block(replace(K, about="other")), contains="k is registered already")
        same_text = replace(K, name="l", notation=(Form("K3"),))
        test_fail(lambda: register_block(same_text), contains="matches the same text as K{kernel} of k")


def test_the_layers_of_a_form_are_tried():
    def returning(*parts):
        return lambda block, inp, out, stride, where, dilation: list(parts)


    first, last = Layer("conv", 16, 16, 3), Layer("conv", 16, 32)
    for layers, why in [
        (lambda block, inp, out: [], "fails with TypeError"),
        (lambda *given: None, "needs a list of layers, but `layers` returned None"),
        (returning(), "`layers` returned []"),
        (returning(first, last), "no name twice; they are ['conv', 'conv']"),
        (returning(first), "must lead from 16 channels to 32, but its layers are 16→16"),
        (returning(replace(first, name="bn1"), last), "has a layer named bn1"),
        (returning("conv"), "has a layer without `name`: 'conv'"),
    ]:
        message = "the block family 'k' can't be registered: the form K{kernel} "
        test_fail(lambda: register_block(replace(K, layers=layers)), exc=InputError, contains=why)
        test_fail(lambda: register_block(replace(K, layers=layers)), exc=InputError, contains=message)
    shuffle = ModuleLayer("shuffle", 16, 16, print, 0, "shuffle", norm=False)
    with registered_block(replace(K, layers=returning(shuffle, last))):
        assert "k" in FAMILIES  # the functions of a `ModuleLayer` are not called


def test_a_legend_with_a_mistake_is_refused():
    legend = Kind("K", "K: any kernel", "K3")
    for kinds, why in [
        ([legend], "`kinds` must be a tuple of Kinds"),
        (("K",), "`kinds` must be a tuple of Kinds"),
        ((replace(legend, template="K{k}"),), "the kind 'K' has no field k"),
        ((replace(legend, template="K{b"),), "the kind 'K' has a broken template K{b"),
        ((replace(legend, template="L3"),), "L3 has no form of the family"),
        ((replace(legend, words=None),), "needs a text as its `words`"),
    ]:
        test_fail(lambda: register_block(replace(K, kinds=kinds)), exc=InputError, contains=why)
    with registered_block(replace(K, kinds=(replace(legend, template="K{g}"),))):
        assert "k" in FAMILIES  # the designer's numbers may be those of any field
    with registered_block(replace(K, kinds=(legend,))):
        twin = Family("l", "another", k_layers, (Form("L{kernel}"),), kinds=(replace(legend, template="L3"),))
        test_fail(lambda: register_block(twin), exc=InputError, contains="has the letters 'K' of the family k")
        other = replace(twin, kinds=(replace(legend, letters="L", template="L3"),))
        test_fail(lambda: register_block(other), contains="the words 'K: any kernel' of the family k")
