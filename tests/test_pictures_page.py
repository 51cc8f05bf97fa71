"""examples/PICTURES.md shows the pictures that examples/pictures.py makes."""

import math
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

FOLDER = Path(__file__).parent.parent / "examples"
SHOWN = re.findall(r"\]\(pictures/(\w+)\.svg\)", (FOLDER / "PICTURES.md").read_text(encoding="utf-8"))


def made(*arguments, cwd):
    done = subprocess.run(
        [sys.executable, "-W", "error", FOLDER / "pictures.py", *arguments],
        cwd=cwd, capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {line.split()[0] for line in done.stdout.splitlines()}


def test_every_picture_is_made_saved_and_shown(tmp_path):
    names = made("--quick", str(tmp_path), ".dot", cwd=tmp_path)
    assert {path.stem for path in tmp_path.glob("*.dot")} == names
    assert sorted(SHOWN) == sorted(names)
    assert names <= {path.stem for path in (FOLDER / "pictures").glob("*.svg")}


# -- the committed pictures are those that the code draws now: by what they say, so that no renderer is needed ----------------

SVG, LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}title"
ATTRIBUTE = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|[^\s\]"]+)')
NAME = r'(?:"(?:[^"\\]|\\.)*"|[\w.-]+)'
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.])")


def words(text):
    """Without the blanks, which renderers write in several ways."""
    return " ".join(text.replace("\xa0", " ").split())


def in_svg(path):
    """What each node, arrow and frame of an SVG says: its lines, and its tooltip."""
    found = {}
    for group in ElementTree.fromstring(path.read_text(encoding="utf-8")).iter(f"{SVG}g"):
        if group.get("class") in ("node", "edge", "cluster"):
            lines = [words(text.text or "") for text in group.iter(f"{SVG}text")]
            tip = next((words(link.get(LINK, "")) for link in group.iter(f"{SVG}a")), "")
            entry = (" ".join(filter(None, lines)), tip if group.get("class") == "node" else "")
            found.setdefault(group.find(f"{SVG}title").text, []).append(entry)
    return found


def in_dot(path):
    """The same of a DOT text."""
    found, cluster = {}, ""
    for line in path.read_text(encoding="utf-8").splitlines():
        about = {key: unquoted(value) for key, value in ATTRIBUTE.findall(line.partition("[")[2] or line)}
        label = words(about.get("label", ""))
        if start := re.fullmatch(rf"\s*subgraph ({NAME}) {{", line):
            cluster = unquoted(start[1])
        elif cluster and line.strip().startswith(("bb=", "color=", "fillcolor=", "label=")) and "->" not in line:
            found.setdefault(cluster, []).append((label, ""))
            cluster = ""
        elif edge := re.match(rf"\s*({NAME}) -> ({NAME})(?: \[|$)", line):
            if about.get("style") != "invis":
                operands = [about[end] for end in ("headlabel", "taillabel") if end in about]
                name = f"{unquoted(edge[1])}->{unquoted(edge[2])}"
                found.setdefault(name, []).append((words(" ".join([label, *operands])), ""))
        elif (node := re.match(rf"\s*({NAME}) \[", line)) and node[1] not in ("graph", "node", "edge"):
            found.setdefault(unquoted(node[1]), []).append((label, words(about.get("tooltip", ""))))
    return found


def unquoted(value):
    return re.sub(r"\\(.)", lambda c: " " if c[1] in "nl" else c[1], value[1:-1]) if value.startswith('"') else value


def alike(one, other):
    """The same words, and the same numbers but for rounding, which another machine may do otherwise."""
    numbers = [[float(number) for number in NUMBER.findall(text)] for text in (one, other)]
    return NUMBER.sub("#", one) == NUMBER.sub("#", other) and all(
        math.isclose(a, b, rel_tol=0.02, abs_tol=1e-6) for a, b in zip(*numbers, strict=True)
    )


@pytest.fixture(scope="module")
def drawn_now(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    made(str(folder), ".dot", cwd=folder)
    return folder


@pytest.mark.parametrize("name", SHOWN)
def test_a_committed_picture_says_what_is_drawn_now(name, drawn_now):
    committed, now = in_svg(FOLDER / "pictures" / f"{name}.svg"), in_dot(drawn_now / f"{name}.dot")
    again = "`python examples/pictures.py examples/pictures` draws them anew"
    assert committed.keys() == now.keys(), again
    for part in now:
        assert len(committed[part]) == len(now[part]), (part, again)
        for before, after in zip(sorted(committed[part]), sorted(now[part]), strict=True):
            assert alike(before[0], after[0]), (part, before[0], after[0], again)
            assert alike(before[1], after[1]), (part, before[1], after[1], again)
