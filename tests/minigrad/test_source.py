"""A derivative rule is shown by its own code: what is shown, compiled, is the rule."""

import __future__

import functools
import importlib.util
import linecache
import random
import runpy
import textwrap
from pathlib import Path
from types import CodeType, ModuleType
from xml.etree import ElementTree

import numpy as np
import pytest

import minigrad as mg
from minigrad.graph import Leaf
from minigrad.ops.running import record
from minigrad.pictures import renderers
from minigrad.source import source_of

data_of = runpy.run_path(str(Path(__file__).parent / "pictures" / "written.py"))["data_of"]
ANNOTATIONS = __future__.annotations.compiler_flag
PLACES_OF_CODE = 0x10 | ANNOTATIONS  # of its flags: that it is nested, and how annotations are read


def meaning(code):
    """What a piece of code does, wherever it stands."""
    constants = [meaning(c) if isinstance(c, CodeType) else (type(c), repr(c)) for c in code.co_consts]
    return (
        code.co_name, code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars,
        code.co_argcount, code.co_kwonlyargcount, code.co_posonlyargcount, code.co_flags & ~PLACES_OF_CODE,
    )  # fmt: skip


def compiled(text, rule):
    """The functions in a text, compiled on their own, where the names of `rule` are modules or variables around it."""
    imported = [name for name in sorted(names_in(rule.__code__)) if isinstance(rule.__globals__.get(name), ModuleType)]
    head = "".join(f"import sys as {name}\n" for name in imported)
    text = text if text.startswith(("def", "@", "async")) else f"({text})"
    if rule.__code__.co_freevars:
        text = f"def around({', '.join(rule.__code__.co_freevars)}):\n{textwrap.indent(text, '    ')}"
    module = compile(head + text, "shown", "exec", flags=ANNOTATIONS, dont_inherit=True)
    return [meaning(code) for code in inner(module)]


def inner(code):
    return [found for c in code.co_consts if isinstance(c, CodeType) for found in (c, *inner(c))]


def names_in(code):
    return {name for part in (code, *inner(code)) for name in part.co_names}


def rule_in(text):
    """The function that is shown in a rule as explain, tooltips and pages write it."""
    call, where, definition = text.partition(", where\n")
    if where:
        return textwrap.dedent(definition)
    return call[len("g * (") : -1] if call.startswith("g * (") else call


def shown_for(operation, x=(0.25, 0.5), **options):
    """The rule of an op of one operand, in each view."""
    t = mg.tensor(np.array(x), requires_grad=True)
    y = operation(t, **options)
    (explained,) = mg.explain(y.sum(), t).steps[1].rules
    drawing = mg.draw(y)
    (tooltip,) = [box.tooltip for box in drawing.picture.boxes if box.role == "op"]
    assert tooltip.partition("\nto %0: ")[2] == explained.text
    return explained.text


def check(operation, rule, *, text=None):
    shown = rule_in(shown_for(operation))
    assert meaning(rule.__code__) in compiled(shown, rule), shown
    if text is not None:
        assert shown == text


def result_of(op):
    """A Tensor recorded as if the op had run on leaves."""
    return record(op, np.ones(2), tuple(Leaf(np.ones(2), requires_grad=rule is not None) for rule in op.rules))


# -- the table -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(mg.ops.TABLE))
def test_every_rule_of_the_table_is_shown_as_it_is(name):
    op = mg.ops.TABLE[name]
    (box,) = [box for box in mg.draw(result_of(op)).picture.boxes if box.role == "op"]
    texts = box.tooltip.partition("\nto %")[2].split("\nto %")
    shown = [text.partition(": ")[2] for text in texts]
    rules = [rule for rule in op.rules if rule is not None]
    assert len(shown) == len(rules)
    for rule, text in zip(rules, shown, strict=True):
        if callable(rule):
            assert meaning(rule.__code__) in compiled(rule_in(text), rule), text
            assert str(source_of(rule)) == rule_in(text)
        else:
            assert text == {1: "g", -1: "-g"}[rule]


def test_a_named_rule_is_shown_with_its_body():
    x, W = mg.tensor([[1.0, 2.0]], requires_grad=True), mg.tensor(np.eye(2), requires_grad=True)
    text = str(mg.explain((x @ W).sum(), x))
    assert "    to %0: matmul_by_x(g, x_shape, y), where\n        def matmul_by_x(g: Any, x_shape" in text
    assert "            return product(g, swapped(y))\n" in text


# -- ops of one's own, in odd places ---------------------------------------------------------------------------


def same(x):
    return x


one, other = (
    mg.custom_op(lambda x: 2*x, kind="elementwise")(same), mg.custom_op(lambda x: 3*x, kind="elementwise")(same)
)  # fmt: skip
equal = [mg.custom_op(lambda x: 2 * x, kind="elementwise"), mg.custom_op(lambda x: 2*x, kind="elementwise")]  # fmt: skip
blank = mg.custom_op(lambda x : 2*x, kind="elementwise")(lambda x: x * x)  # fmt: skip
lines = mg.custom_op(
    lambda g, x: (
        g  # the cotangent: of the result
        * 2
        * x
    )
)(lambda x: x * x)
nested = mg.custom_op(lambda g, x: (lambda y: (lambda z: z * y)(x))(2 * g))(lambda x: x * x)
chosen = mg.custom_op((lambda g: g) if not __debug__ else (lambda g: 2 * g))(lambda x: 2 * x)
umlaut = ("é", mg.custom_op(lambda x: len("naïve ∂f/∂x 🎉") * x, kind="elementwise")(lambda x: x), lambda x: 2)[1]
by_default = (lambda rule=lambda g, x: 5 * g * x: mg.custom_op(rule)(lambda x: x))()
listed = [mg.custom_op(rule)(lambda x: x) for rule in [lambda g: g, lambda g: 1 * g, lambda g: g * 1]]
made = [mg.custom_op((lambda k: lambda g: k * g)(k))(lambda x: x) for k in (1.0, 2.0)]  # noqa: B023


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        (one, "lambda x: 2*x"), (other, "lambda x: 3*x"), (blank, "lambda x : 2*x"), (lines, "lambda g, x: g * 2 * x"),
        (equal[0](lambda x: x), "lambda x: 2 * x"), (equal[1](lambda x: x), "lambda x: 2*x"),
        (nested, "lambda g, x: (lambda y: (lambda z: z * y)(x))(2 * g)"), (chosen, "lambda g: 2 * g"),
        (umlaut, 'lambda x: len("naïve ∂f/∂x 🎉") * x'), (by_default, "lambda g, x: 5 * g * x"),
        (listed[0], "lambda g: g"), (listed[1], "lambda g: 1 * g"), (listed[2], "lambda g: g * 1"),
        (made[0], "lambda g: k * g"), (made[1], "lambda g: k * g"),
    ],
)  # fmt: skip
def test_a_lambda_wherever_it_stands(operation, text):
    check(operation, operation.op.rules[0], text=text)


def scaled(k, g, x):
    """A text
    over two lines."""
    return k * g * x


def kept(function):
    @functools.wraps(function)
    def through(*args):
        return function(*args)

    return through


@kept
@kept
def decorated(g):
    return 7 * g


class Slope:
    """An object that is called."""

    def __init__(self, k):
        self.k = k

    def __call__(self, g, x):
        return self.k * g * x

    def rule(self, g, x):
        return g * (self.k * x)

    @staticmethod
    def static(g, x):
        return g * x * 4

    @classmethod
    def of_the_class(cls, g, x):
        return g * x * 5


@pytest.mark.parametrize(
    ("rule", "call", "inside"),
    [
        (functools.partial(scaled, 2.0), "partial(scaled, 2.0)(g, x)", scaled),
        (functools.partial(lambda k, g: k * g, 2.0), "partial(lambda k, g: k * g, 2.0)(g)", None),
        (Slope(2.0), "Slope(g, x)", Slope.__call__),
        (Slope(2.0).rule, "Slope.rule(g, x)", Slope.rule),
        (Slope.static, "static(g, x)", Slope.static),
        (Slope.of_the_class, "Slope.of_the_class(g, x)", Slope.of_the_class.__func__),
        (decorated, "decorated(g)", decorated.__wrapped__.__wrapped__),
        (kept(scaled), "through(k, g, x)", scaled),
    ],
)
def test_what_is_called_and_its_definition(rule, call, inside):
    text = shown_for(mg.custom_op(rule)(lambda x, *, k=1.0: x))
    assert text.split(", where\n")[0] == call
    if inside is not None:
        assert meaning(inside.__code__) in compiled(rule_in(text), inside)


def test_a_wrapper_is_shown_around_what_it_wraps():
    rule = kept(lambda g: 3 * g)
    shown = compiled(rule_in(shown_for(mg.custom_op(rule)(lambda x: x))), rule)
    assert meaning(rule.__code__) in shown
    assert meaning(rule.__wrapped__.__code__) in shown


def test_a_function_of_numpy_or_of_c_is_named():
    operation = mg.custom_op(np.cos, kind="elementwise")(lambda x: np.sin(x))
    assert shown_for(operation) == "g * np.cos(x)  (built in, so there is no Python source)"
    mg.check_grads(operation, np.array([0.5, 1.0]), order=2)
    assert str(source_of(abs)).startswith("abs  (built in")
    assert str(source_of(functools.cache(decorated))) == "@kept\n@kept\ndef decorated(g):\n    return 7 * g"


# -- files, cells, prompts -------------------------------------------------------------------------------------

CELL = "rule, second = lambda g: 2*g, lambda g: 3*g\ndef named(g):\n    k = 4\n    return k * g\n"


def run(text, filename):
    names = {}
    exec(compile(text, filename, "exec", dont_inherit=True), names)
    return names


def test_a_cell_of_a_notebook():
    name = "<ipython-input-1-abc>"
    linecache.cache[name] = (len(CELL), None, CELL.splitlines(keepends=True), name)
    try:
        names = run(CELL, name)
        for rule in ("rule", "second", "named"):
            check(mg.custom_op(names[rule])(lambda x: x), names[rule])
    finally:
        del linecache.cache[name]


def test_what_was_typed_or_made_has_no_source_and_says_so():
    names = run(CELL, "<string>")
    assert shown_for(mg.custom_op(names["rule"])(lambda x: x)) == "<lambda>(g)  (its source was not kept: <string>, line 1)"
    assert shown_for(mg.custom_op(names["named"])(lambda x: x)) == "named(g)  (its source was not kept: <string>, line 2)"


@pytest.mark.parametrize(
    "change", [lambda text: text.replace("*g", "*(g)"), lambda text: "\n" + text, lambda text: "(((", str.upper]
)
def test_a_file_that_has_changed_since_is_not_shown(tmp_path, change):
    path = tmp_path / "cell.py"
    path.write_text(CELL, encoding="utf-8")
    rule = run(CELL, str(path))["rule"]
    assert str(source_of(rule)) == "lambda g: 2*g"
    path.write_text(change(CELL) + "\n", encoding="utf-8")
    assert str(source_of(rule)) == f"<lambda>  (its source has changed since it was run: {path}, line 1)"


# Rules of an op of (x, k), in every layout that a file may have. {e} is an expression, {n} a number.
LAYOUTS = [
    "op{n} = custom_op(lambda g, x: {e})(f)",
    "op{n} = custom_op(lambda g , x : {e})(f)",
    "op{n} = custom_op(\n    lambda g, x:\n        {e}\n)(f)",
    "op{n} = custom_op(\n    (  # why: because\n        lambda g, x: ({e}\n        + 0)),  # lambda g, x: 1\n)(f)",
    "op{n} = custom_op(lambda\\\n  g, x: {e})(f)",
    "first, op{n} = custom_op(lambda g, x: {e} + 1)(f), custom_op(lambda g, x: {e})(f)",
    "op{n}, last = custom_op(lambda g, x: {e})(f), custom_op(lambda g, x: {e})(f)",
    "op{n} = [custom_op(r)(f) for r in [lambda g, x: {e}, lambda g, x: 2 * ({e})]][{n} % 2]",
    "op{n} = (lambda rule=lambda g, x: {e}: custom_op(rule)(f))()",
    "op{n} = custom_op((lambda g, x: {e}) if {n} % 2 else (lambda g, x: -({e})))(f)",
    "op{n} = custom_op((lambda k: lambda g, x: k * ({e}))({n}))(f)",
    "op{n} = custom_op(lambda g, x: (lambda g: {e})(g))(f)",
    "def rule{n}(g, x):\n    '''Its text: lambda g, x: 1\n  over lines.'''\n    y = {e}  # and\n    return y\n"
    "op{n} = custom_op(rule{n})(f)",
    "def outer{n}():\n\n\tdef rule(g, x):\n\t\ts = '''a\nb'''\n\t\treturn {e}\n\n\treturn rule\n"
    "op{n} = custom_op(outer{n}())(f)",
    "class C{n}:\n    @staticmethod\n    def rule(g, x): return {e}\nop{n} = custom_op(C{n}.rule)(f)",
    "s{n} = 'é🎉 lambda g, x: 3'; op{n} = custom_op(lambda g, x: {e})(f)",
    "@custom_op(lambda g, x: {e})\ndef op{n}(x): return x",
    "@custom_op(\n    lambda g, x: {{'a': {e}}}['a'],\n)\ndef op{n}(x):\n    return x",
    "op{n} = custom_op(partial(lambda k, g, x: k + {e}, {n}))(f)",
    "if True:\n  if True:\n    def r{n}(g, x) : return ({e}\n  )\n    op{n} = custom_op(r{n})(f)",
]  # fmt: skip
EXPRESSIONS = [
    "2*g*x", "g * x[()]", "(g,x)[0]", "g if 1<2 else x", "[g for _ in 'ab'][0]", "g*{{'k': 3}}['k']", "np.where(x>0, g, -g)",
]  # fmt: skip


def test_a_hundred_ops_of_generated_files(tmp_path):
    pick = random.Random(0)
    layouts = [*LAYOUTS * 5, *pick.choices(LAYOUTS, k=20)]
    pick.shuffle(layouts)
    checked = 0
    for m, part in enumerate(layouts[i : i + 12] for i in range(0, len(layouts), 12)):
        head = ["from __future__ import annotations"] * (m % 2) + [
            "import numpy as np", "from functools import partial", "from minigrad import custom_op", "f = lambda x: x",
        ]  # fmt: skip
        body = [layout.format(n=n, e=pick.choice(EXPRESSIONS).format()) for n, layout in enumerate(part)]
        path = tmp_path / f"generated_{m}.py"
        path.write_text("\n\n".join(head + body) + "\n", encoding="utf-8")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for n in range(len(part)):
            operation = getattr(module, f"op{n}")
            rule = operation.op.rules[0]
            function = rule.func if isinstance(rule, functools.partial) else rule
            text = rule_in(shown_for(operation))
            if text.startswith("partial("):
                text = text[len("partial(") : text.rindex(f", {rule.args[0]})")]
            assert meaning(function.__code__) in compiled(text, function), (body[n], text)
            checked += 1
    assert checked == 120


# -- every view ------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not renderers(), reason="neither dot nor pygraphviz is installed")
def test_the_tooltip_in_the_svg_and_the_page_say_what_explain_says():
    x = mg.tensor(np.eye(2), requires_grad=True)
    y = np.tanh(x @ x).sum()
    drawing = mg.draw(y)
    root = ElementTree.fromstring(drawing.svg())
    tips = [e.text or "" for e in root.iter("{http://www.w3.org/2000/svg}title")]
    data = data_of(drawing.html())
    texts = [rule.text for step in mg.explain(y, x).steps for rule in step.rules]
    assert data["rules"] == texts
    for text in texts:
        assert any(f": {text}" in tip for tip in tips), text
