"""Residual blocks: their notation, the families of cheap convolutions, and the layers they are made of."""

# Importing any module of this package makes the built-in families known to `parse_block`; it does not import PyTorch.
from moonshine.blocks import families  # noqa: F401
