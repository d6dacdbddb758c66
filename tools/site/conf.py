"""Sphinx's settings for the site; tools/build_site.py writes the pages and starts Sphinx."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]  # the extensions, and the package of this checkout

project = "moonshine"
html_title = "moonshine"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx_copybutton", "docments", "mathml"]
suppress_warnings = ["myst.header"]  # a notebook's output may start a heading of any level

# Notebooks: shown as stored, never executed.
nb_execution_mode = "off"
nb_merge_streams = True
highlight_language = "none"  # of a block that names no language: a shell command, an output
myst_enable_extensions = ["dollarmath", "amsmath", "html_image"]
myst_heading_anchors = 4
myst_heading_slug_func = "anchors.jupyter_anchor"

# The API reference.
default_role = "code"
smartquotes = False  # "G(4)" is code wherever it stands
add_module_names = False
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
autodoc_default_options = {"exclude-members": "set"}  # matplotlib gives each kind of figure one of its own
python_maximum_signature_line_length = 60
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

# The pages: everything a page needs is in the site, so that it can be read without a network.
html_theme = "furo"
html_theme_options = {"navigation_with_keys": True}
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False
html_math_renderer = "mathml"
copybutton_selector = "div.cell_input pre, div.highlight-default pre"
