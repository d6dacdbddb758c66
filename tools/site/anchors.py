"""How notebooks name the anchor of a heading."""


def jupyter_anchor(title: str) -> str:
    """Return the anchor that Jupyter gives a heading."""
    return title.replace(" ", "-")
