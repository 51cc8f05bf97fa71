"""Settings of the site; CONTRIBUTING.md has the command that builds it.

The source folder is the clone itself, so the same links work in the files and on the site. Lists that the code or the lessons
have already are made from them here, as `myst_substitutions`: a page shows one with ``{{ course }}``.
"""

import html
import inspect
import os
import re
from pathlib import Path

import minigrad_rnn
from minigrad.ops import FAMILIES, elementwise, table
from minigrad.ops.entry import numpy_name
from minigrad_rnn.additions import classes, public_names

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted(ROOT.glob("examples/**/*.py"))
LESSONS = sorted(ROOT.glob("examples/[0-9][0-9]_*.py"))

project = "minigrad"
root_doc = "docs/index"
extensions = ["myst_nb", "sphinx.ext.autodoc"]
include_patterns = ["*.md", "docs/**.md", "examples/**.md", "examples/**.py"]
exclude_patterns = ["build", ".*"]

# -- pages and lessons -----------------------------------------------------------------------------------------

myst_enable_extensions = ["substitution"]
myst_heading_anchors = 3
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "force"
nb_execution_show_tb = True
nb_execution_timeout = 240
nb_merge_streams = True
nb_code_prompt_show = "Show the solutions"  # the only folded cells; those with asserts alone are removed from the page
nb_code_prompt_hide = "Hide the solutions"
# Scripts with a command line are shown without their results: they train for minutes. RESULTS.md has those.
nb_execution_excludepatterns = [str(path) for path in SCRIPTS if re.search("sys.argv|argparse", path.read_text("utf-8"))]
HEADER = """# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---
"""


def name_the_language(app, docname, source):
    """Give a script the header of a notebook, for the colours of cells that are not run."""
    if Path(app.env.doc2path(docname)).suffix == ".py":
        source[0] = HEADER + source[0]


def trim_the_examples(app, doctree):
    """Leave out the empty line at the end of a block: it ends an example for the tests that run it."""
    from docutils import nodes

    for block in doctree.findall(nodes.literal_block):
        if block.rawsource == block.astext():
            block.rawsource = block.rawsource.rstrip()
            block[:] = [nodes.Text(block.rawsource)]


def offer_the_notebook(app, doctree):
    """Say under the title of a script how to run it, with a link to it as a notebook."""
    from docutils import nodes
    from sphinx.addnodes import download_reference

    path = Path(app.env.doc2path(app.env.docname))
    if path.suffix == ".py":
        notebook = Path(app.env.mystnb_config.output_folder, app.env.docname).with_suffix(".ipynb")
        target = "/" + Path(os.path.relpath(notebook, app.srcdir)).as_posix()
        download = download_reference("", "", nodes.literal(text=notebook.name), reftarget=target)
        command = nodes.literal(text=f".venv/bin/python {app.env.docname}.py")
        said = [
            nodes.Text("Run this page as it is, "),
            command,
            nodes.Text(" (a script shows no pictures), or cell by cell, with pictures: "),
            download,
        ]
        doctree.next_node(nodes.title).parent.insert(1, nodes.paragraph("", "", *said))


def describe_the_pictures(app, doctree):
    """Give a picture that a cell draws its own title as the text for those who cannot see it."""
    from docutils import nodes

    for image in doctree.findall(nodes.image):
        drawn = Path(app.env.mystnb_config.output_folder, Path(image["uri"]).name)
        if "alt" not in image and drawn.suffix == ".svg" and drawn.is_file():
            titles = re.findall(r"<title[^>]*>(.*?)</title>", drawn.read_text("utf-8"), re.DOTALL)
            image["alt"] = html.unescape(titles[0]) if titles else "The picture that the cell draws"


# -- how it looks ----------------------------------------------------------------------------------------------

html_theme = "furo"
html_title = "minigrad"
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_extra_path = ["_start"]
html_copy_source = False
highlight_language = "none"

# -- the reference ---------------------------------------------------------------------------------------------

default_role = "py:obj"  # a link where there is such a thing
nitpicky = True
nitpick_ignore_regex = [("py:obj", ".*")]
autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True


def literal_formulas(app, what, name, obj, options, lines):
    """Show as it is written what a docstring indents after a colon: a formula."""
    for i in range(len(lines) - 2):
        if re.search(r"[^:]:$", lines[i]) and not lines[i + 1] and re.match(r"\s", lines[i + 2]):
            lines[i] += ":"


def reference(named):
    """Return the directives that document public things, given by their names."""
    kinds = [("class" if inspect.isclass(thing) else "function", name) for name, thing in named.items()]
    return "\n".join(["```{eval-rst}", *(f".. auto{kind}:: {name}" for kind, name in kinds), "```"])


FAMILY = {family.__name__.rpartition(".")[2]: family for family in FAMILIES}


def functions_of(family):
    """Return the public functions that a family of ops defines, by name."""
    named = {f"minigrad.linalg.{name}": f for name, f in table.LINALG.items() if table.PUBLIC.get(name) is not f}
    named |= {f"minigrad.{name}": f for name, f in table.PUBLIC.items()}
    return {name: f for name, f in named.items() if home(f) is family}


def home(f):
    """Return the family that defines a function. The module of the functions made of elementwise ops is `minigrad`."""
    return next((family for family in FAMILIES if family.__name__ == f.__module__), elementwise)


def additions(package):
    """Return the classes that the files of a package of minigrad_rnn add, by name."""
    return {f"minigrad_rnn.{name}": getattr(minigrad_rnn, name) for name, file in classes().items() if file.startswith(package)}


# -- tables ----------------------------------------------------------------------------------------------------


def row(*cells):
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def course():
    """Return the table of lessons, read from their first cells."""
    return "\n".join([row("lesson", "you need", "time"), "|---|---|---|", *map(lesson, LESSONS)])


def lesson(path):
    first = re.sub(r"^# ?", "", path.read_text("utf-8").split("\n# %%")[0], flags=re.MULTILINE)
    title = re.search(r"^# (.*)", first, re.MULTILINE)[1]
    return row(f"[{title}](../examples/{path.name})", labelled(first, "You need"), labelled(first, "Time").rstrip("."))


def labelled(text, label):
    """Return the paragraph that begins with a label in bold, without the label."""
    found = re.search(rf"^\*\*{label}:\*\* (.+?)(?:\n\n|\Z)", text, re.DOTALL | re.MULTILINE)
    return " ".join(found[1].split()) if found else ""


def coverage():
    """Return the table of NumPy's functions that record themselves, family by family, read from the table of ops."""
    lines = [row("NumPy", "minigrad", "a Tensor's", "op"), "|---|---|---|---|"]
    for page, family in FAMILY.items():
        lines.append(row(f"[](api/{page}.md)", "", "", ""))
        named = functions_of(family)
        lines += [row(*called(f, [name for name in named if named[name] is f])) for f in dict.fromkeys(named.values())]
    return "\n".join(lines)


def called(f, names):
    """Return how a public function is called, in NumPy, in minigrad and of a Tensor, and the kind of its op if it is one."""
    entry = f.entry
    numpys = sorted({numpy_name(g) for g in entry.numpy})
    operator = f"__{entry.operator}__" if entry.operator.isidentifier() else entry.operator
    of_tensor = [form for form in (f".{entry.method}()", f".{entry.attribute}", operator) if form not in (".()", ".", "")]
    kind = f.op.kind if hasattr(f, "op") else ""
    return codes(numpys), ", ".join(f"{{py:func}}`{name}`" for name in names), codes(of_tensor), kind


def codes(names):
    return ", ".join(f"`{name}`" for name in names)


def plain():
    """Return the names of NumPy's functions that take tensors and return plain arrays."""
    return codes(sorted(set(map(numpy_name, table.PLAIN))))


UPDATES = {f"minigrad_rnn.optim.{name}": f for name, f in public_names("optim").items() if name not in minigrad_rnn.__all__}

myst_substitutions = {
    "course": course(),
    "coverage": coverage(),
    "plain": plain(),
    "cells": reference(additions("cells")),
    "optimizers": reference(additions("optim")),
    "updates": reference(UPDATES),
    **{page: reference(functions_of(family)) for page, family in FAMILY.items()},
}


def setup(app):
    app.connect("source-read", name_the_language)
    app.connect("doctree-read", trim_the_examples)
    app.connect("doctree-read", offer_the_notebook, priority=400)  # before downloads are collected
    app.connect("doctree-read", describe_the_pictures, priority=400)  # before images are renamed
    app.connect("autodoc-process-docstring", literal_formulas)
