"""Distil a network into a student made by cheapening its convolutions."""
__version__ = "0.1.0"
