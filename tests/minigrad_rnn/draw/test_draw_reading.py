"""The page of a reading: what is written into it, and, in a real browser where there is one, what it does."""

import base64
import dataclasses
import hashlib
import html
import json
import re
import runpy
import time
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad_rnn as rnn
from minigrad_rnn.draw.reading_view.colours import DARK, LIGHT, contrast, ramp
from minigrad_rnn.draw.reading_view.pack import packed
from minigrad_rnn.draw.reading_view.sentences import heading_of

DRIVEN = runpy.run_path(str(Path(__file__).parents[2] / "minigrad" / "pictures" / "browser.py"))
HOSTILE = DRIVEN["HOSTILE"]
ZEN = rnn.text.read("this")
ALPHABET = rnn.Alphabet.of(ZEN)
V = len(ALPHABET)


def lstm(units=6, scale=1.0, **options):
    model = rnn.Sequence(rnn.LSTM(V, units, forget_bias=1.0, rng=0, **options), rnn.Linear(units, V, rng=1))
    for p in model.parameters():
        p.data = p.data * scale
    return model


@pytest.fixture(scope="module")
def reading():
    """Of a network with large weights, whose states change quickly and fill the page."""
    return rnn.read(lstm(scale=4.0), ZEN[:240], ALPHABET, probe=ZEN[240:])


@pytest.fixture(scope="module")
def page(reading, tmp_path_factory):
    made = rnn.draw.reading(reading, title="A title", note="A note & more")
    return made.save(tmp_path_factory.mktemp("page") / "reading.html")


def facts_of(text):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def unpacked(text):
    """The facts, and the matrices by name, by the rule of the page."""
    facts = facts_of(text)
    packed = base64.b64decode(re.search(r'id="bytes">(.*?)</script>', text)[1])
    every = np.frombuffer(zlib.decompress(packed, -15), np.uint8)
    found = {}
    for name, place in facts["places"].items():
        a = every[place["at"] :][: place["rows"] * place["columns"]].reshape(place["rows"], place["columns"])
        found[name] = np.cumsum(a, axis=1, dtype=np.uint8) if place["difference"] else a
    return facts, found


# -- what is written -----------------------------------------------------------------------------------------------------


def test_packed_is_unpacked_within_half_a_level(reading, page):
    facts, found = unpacked(page.read_text(encoding="utf-8"))
    scale = facts["scale"]
    for name, state in [*reading.states.items(), ("together", reading.together.values)]:
        steps = np.array(facts["steps"][name])[:, None]
        shown = (found[f"state {name}"].astype(float) - scale["state"]) * steps
        most = steps * scale["state"]
        assert np.all(np.abs(shown - np.clip(state.T, -most, most)) <= 0.51 * steps)
        assert np.mean(np.abs(state.T) > 1.01 * most) < 0.02
    for name in facts["gates"]:
        np.testing.assert_allclose(found[f"gate {name}"].T / scale["gate"], reading.gates[name], atol=0.501 / scale["gate"])
    shown = found["surprise"][0] / scale["nat"]
    np.testing.assert_allclose(shown[1:], np.minimum(reading.surprise[1:], 25.5), atol=0.051)
    assert np.array_equal(found["guesses"] + 256 * found["guesses high"].astype(int), reading.guesses)
    np.testing.assert_allclose(found["probabilities"] / 100, reading.probabilities, atol=0.00501)
    back = np.nan_to_num(reading.saliency)
    np.testing.assert_allclose(
        found["saliency"] / scale["pull"], np.sqrt(back / back.max(1, keepdims=True)), atol=0.501 / scale["pull"]
    )
    r = np.concatenate([*reading.correlations.values()])
    np.testing.assert_allclose((found["correlations"].astype(float) - 100) / 100, r, atol=0.00501)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 40), st.integers(0, 2**32)), max_size=4))
@settings(max_examples=25, deadline=None)
def test_any_matrices_are_unpacked_as_they_were(shapes):
    matrices = {f"m{k}": np.random.default_rng(seed).integers(0, 256, (n, m)) // 9 * 9 for k, (n, m, seed) in enumerate(shapes)}
    places, data = packed(matrices)
    found = unpacked(
        f'<script type="application/json" id="data">{json.dumps({"places": places})}</script>id="bytes">{data}</script>'
    )
    assert all(np.array_equal(found[1][name], matrix) for name, matrix in matrices.items())


def test_an_alphabet_may_have_more_symbols_than_a_byte():
    alphabet = rnn.Alphabet([chr(0x4E00 + k) for k in range(600)])
    model = rnn.Sequence(rnn.RNN(600, 4, rng=0), rnn.Linear(4, 600, rng=1))
    made = rnn.read(model, alphabet.symbols[:30], alphabet, twin=False)
    _, found = unpacked(rnn.draw.reading(made).html)
    assert made.guesses.max() > 511
    assert np.array_equal(found["guesses"] + 256 * found["guesses high"].astype(int), made.guesses)


def test_the_facts_are_those_of_the_reading(reading, page):
    text = page.read_text(encoding="utf-8")
    facts = facts_of(text)
    assert "".join(facts["text"]) == ZEN[:240]
    assert facts["symbols"] == list(ALPHABET.symbols)
    assert sorted(facts["gates"]) == ["f", "i", "o"]  # g is not between 0 and 1
    names = [feature["name"] for feature in facts["features"]]
    for unit, (state, index, feature, symbol, r, *_) in zip(reading.units, facts["units"], strict=True):
        assert (unit.state, unit.index, unit.feature) == (state, index, names[feature] if feature >= 0 else None)
        assert r == pytest.approx(unit.r, abs=6e-4)
        assert unit.held.symbol == (None if symbol < 0 else symbol)
    assert facts["headings"] == [heading_of(reading, unit) for unit in reading.units]
    assert facts["needed"] == len(reading.needed)
    assert facts["twin"]["needed"] == len(reading.twin.needed)
    assert "<title>A title</title>" in text
    assert "A note &amp; more" in text


def test_the_heading_claims_no_more_than_is_proved(reading):
    unit, twin = reading.units[0], reading.twin.best("position in word")
    needed, idle = (unit.held._replace(symbol=symbol) for symbol in (1, None))
    untrained = "follows “position in word” as untrained units do"
    for feature, held, r, expected in (
        ("position in word", needed, -twin - 0.01, "A unit that counts along the word"),
        ("position in word", idle, -twin - 0.01, "A unit that follows “position in word”, but that the model does not need"),
        ("position in word", needed, -twin, f"A unit that the model needs and that {untrained}"),
        ("position in word", idle, twin, f"A unit that {untrained}"),
        ("a space", needed, 1.0, "A unit that follows “a space”"),
        (None, needed, 0.0, ""),
    ):
        assert heading_of(reading, dataclasses.replace(unit, feature=feature, held=held, r=r)) == expected


def test_a_long_text_and_many_units_make_a_small_page(monkeypatch):
    monkeypatch.setattr(rnn.reading, "HELD", 40)  # the hold test takes longest, and little room
    made = rnn.read(lstm(128, scale=3.0), (ZEN * 2)[:1000], ALPHABET, twin=False, window=0)
    made = dataclasses.replace(made, saliency=np.random.default_rng(0).random((1000, 60)))  # packed, it takes most of all
    assert len(rnn.draw.reading(made).html.encode()) < 400_000


def test_one_ink_can_be_read_on_every_colour():
    for colours in (LIGHT, DARK):
        for end in ("plus", "minus", "gates", "surprise", "back"):
            levels = ramp(colours["paper"], colours[end])
            assert levels[0] == colours["paper"]
            assert min(contrast(colours["ink"], level) for level in levels) >= 4.5
            distances = [contrast(colours["paper"], level) for level in levels]
            assert all(one < other for one, other in pairwise(distances))  # more is farther from the paper


def test_only_its_own_style_and_script_may_run(page):
    text = page.read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', text)[1]
    for tag in ("style", "script"):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
        assert inside.isascii()  # it has the same hash in every encoding
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert not re.search(r'https?://(?!www\.w3\.org/2000/svg")|style="| on\w+=', text)


def test_the_same_reading_is_the_same_page(reading, page):
    again = rnn.read(lstm(scale=4.0), ZEN[:240], ALPHABET, probe=ZEN[240:])
    made = rnn.draw.reading(again, title="A title", note="A note & more")
    assert made.html == page.read_text(encoding="utf-8")
    frame = made._repr_html_()
    assert frame.isascii()
    assert 'title="What a network does as it reads"' in frame


def test_a_reading_and_a_text_are_not_given_together(reading):
    for arguments in ((reading, ZEN), (reading, None, ALPHABET), (lstm(),), (lstm(), ZEN)):
        with pytest.raises(TypeError, match=r"reading\("):
            rnn.draw.reading(*arguments)
    with pytest.raises(TypeError, match=r"reading\(r\)"):
        rnn.draw.reading(reading, window=3)
    assert isinstance(rnn.draw.reading(lstm(), ZEN[:40], ALPHABET, twin=False, window=0), type(rnn.draw.reading(reading)))


def hostile():
    """Hostile symbols as words, hostile names of features and of a state."""
    symbols = [*HOSTILE, "constructor", "__proto__", "\u202e", "\t", "\n", " "] * 3
    alphabet = rnn.Alphabet.of(symbols, unknown="</script><b>")

    class Cell(rnn.GRUCell):
        state_names = ("<i>",)
        gate_names = {"r": "</p><script>alert(1)</script>", "z": "{{data}}", "n": "candidate"}

    model = rnn.Sequence(rnn.Recurrent(Cell(len(alphabet), 4, rng=0)), rnn.Linear(4, len(alphabet), rng=1))
    features = {name: lambda text, k=k: (np.arange(len(text)) // (k + 1)) % 2 for k, name in enumerate(HOSTILE)}
    made = rnn.read(model, symbols, alphabet, features=features, twin=False)
    return symbols, rnn.draw.reading(made, title="".join(HOSTILE), note="".join(HOSTILE))


def test_no_symbol_or_name_is_taken_for_markup():
    symbols, made = hostile()
    facts, _ = unpacked(made.html)
    assert facts["text"] == symbols
    assert not re.search("[<>&]", re.search(r'id="data">(.*?)</script>', made.html)[1])
    body = made.html[made.html.index("<body") : made.html.index('<script type="application/json"')]
    assert "<script" not in body
    assert "<img" not in body
    inside = re.search(r'aria-valuenow="1">(.*?)</div>', body, re.DOTALL)[1]
    assert len(re.findall("<i class=", inside)) == len(symbols)
    assert "{{data}}" in html.unescape(body)  # as it was given
    made.html.encode("utf-8", "replace")


# -- in a browser --------------------------------------------------------------------------------------------------------


CLASSES = "[...document.querySelectorAll('#text > i')].map((x) => x.className)"


def text_of(browser, name):
    return browser.js(f"document.getElementById('{name}').textContent")


def test_the_first_colours_need_no_script(browser, reading, page):
    still = re.findall(r'<i class="?([^">]*)', page.read_text(encoding="utf-8"))
    browser.open(page)
    assert [kind.removesuffix(" now") for kind in browser.js(CLASSES)] == still
    assert text_of(browser, "title") in page.read_text(encoding="utf-8")
    assert browser.state()["state"] + f"[{browser.state()['unit']}]" == reading.units[0].name


def test_every_view_shows_the_numbers_of_the_reading(browser, reading, page):
    browser.open(f"{page}#back/c/2/o/100")
    assert {key: browser.state()[key] for key in ("view", "state", "unit", "gate", "at")} == {
        "view": "back", "state": "c", "unit": 2, "gate": "o", "at": 100,
    }  # fmt: skip
    for at in (3, 100, 239):
        browser.js(f"minigrad.go({at})")
        pulls = np.nan_to_num(reading.saliency[at])
        levels = np.round(16 * np.sqrt(pulls / pulls.max())).astype(int)[: at + 1]
        shown = [int(re.search(r"s(\d+)", kind)[1]) for kind in browser.js(CLASSES)][: at + 1][::-1]
        assert shown[: len(levels)] == levels.tolist()
        assert (
            ALPHABET.symbols[reading.guesses[at, 0]] in browser.js("document.querySelector('.guess code').textContent") + " \n"
        )
    browser.js("minigrad.choose({view: 'gates', gate: 'f', unit: 3})")
    shown = [int(re.search(r"s(\d+)", kind)[1]) for kind in browser.js(CLASSES)]
    np.testing.assert_allclose(np.array(shown) / 16, reading.gates["f"][:, 3], atol=0.1)
    assert text_of(browser, "title") == "How far the forget gate of unit 3 is open"
    browser.js("minigrad.choose({view: 'surprise', deep: true}); minigrad.go(50)")
    assert f"{reading.surprise[50]:.1f} nats" in text_of(browser, "facts")
    below = browser.js("[...document.querySelectorAll('#text > i:nth-child(51) u')].map((x) => x.textContent)")
    wanted = [
        ALPHABET.symbols[k] for k, p in zip(reading.guesses[49, :3], reading.probabilities[49], strict=False) if p > 0.015
    ]
    assert below == ["␣" if s == " " else "↵" if s == "\n" else s for s in wanted]
    browser.js("minigrad.choose({view: 'units', state: 'c', unit: 1}); minigrad.go(7)")
    step = reading.states["c"][:, 1]
    value = float(browser.js("document.getElementById('facts').firstChild.data").split("= ")[1].replace("−", "-"))
    assert value == pytest.approx(np.clip(step[7], -np.abs(step).max(), np.abs(step).max()), abs=float(np.abs(step).max()) / 18)
    browser.js("minigrad.choose({state: 'together', unit: 0})")
    assert text_of(browser, "title").startswith("All units together on")
    assert browser.errors == []


@pytest.mark.parametrize("width", [1400, 390])
def test_the_moment_of_a_link_is_in_sight(browser, tmp_path, width):
    path = rnn.draw.reading(lstm(), ZEN, ALPHABET, twin=False).save(tmp_path / "x.html")
    browser.open(f"{path}#units/c/2/o/{len(ZEN) - 30}", width, 800)
    moment, card = (browser.js(DRIVEN["rectangle"](selector)) for selector in ("#text > .now", "#chosen"))
    assert moment["top"] >= 0
    assert moment["bottom"] <= (card["top"] if width < 640 else 800)


def test_a_link_to_another_moment_is_followed_on_the_open_page(browser, page):
    browser.open(f"{page}#units/c/2/o/100")
    browser.js("location.hash = '#back/h/3/f/40'")
    browser.js("new Promise(requestAnimationFrame)")
    assert browser.state() | {"view": "back", "state": "h", "unit": 3, "gate": "f", "at": 40} == browser.state()
    assert browser.js("[...document.querySelectorAll('#text > i')].findIndex((x) => x.classList.contains('now'))") == 40
    assert browser.errors == []


def test_the_keyboard_reaches_everything(browser, reading, page):
    browser.open(page)
    text = ZEN[:240]
    browser.js("document.getElementById('text').focus(); minigrad.go(60)")
    line = text.rindex("\n", 0, 60) + 1
    for key, at in (("ArrowRight", 61), ("ArrowLeft", 60), ("Home", line), ("End", text.index("\n", line))):
        browser.press(key)
        assert browser.state()["at"] == at
    browser.press("ArrowUp")
    above = browser.state()["at"]
    assert above < line
    browser.press("ArrowDown")
    assert browser.state()["at"] == text.index("\n", line)
    said = browser.js("document.getElementById('text').getAttribute('aria-valuetext')")
    assert said.startswith(f"a new line, {browser.state()['at'] + 1} of 240; ")
    assert "next it expects" in said
    for key, view in zip("2341", ("gates", "surprise", "back", "units"), strict=True):
        browser.press(key)
        assert browser.state()["view"] == view
    for key, rank in (("n", 1), ("n", 2), ("p", 1)):
        browser.press(key)
        assert browser.js("minigrad.state().state + '[' + minigrad.state().unit + ']'") == reading.units[rank].name
    browser.js("document.getElementById('list').focus()")
    browser.press("ArrowDown")
    chosen = "document.querySelector('#list [aria-selected=true]')"
    assert browser.js(f"{chosen}.dataset.value") == reading.units[2].name
    assert browser.js(f"{chosen}.id === document.getElementById('list').getAttribute('aria-activedescendant')")
    browser.js("document.querySelector('[name=view]:checked').focus()")
    browser.press("ArrowRight")
    assert browser.state()["view"] == "gates"
    browser.press("4")
    browser.js("document.getElementById('places').focus()")
    browser.press("End")
    assert browser.state()["at"] == int(browser.js("document.querySelector('#places [aria-selected=true]').dataset.value"))
    assert browser.errors == []


def test_the_list_has_several_orders(browser, reading, page):
    browser.open(page)
    for order, expected in (
        ("telling", [unit.name for unit in reading.units]),
        ("needed", [unit.held.cost for unit in reading.needed]),
        ("varied", [unit.name for unit in sorted(reading.units, key=lambda unit: -unit.deviation)]),
        ("0", ["together[0]"]),
    ):
        browser.js(f"document.getElementById('sort').value = '{order}'")
        browser.js("document.getElementById('sort').dispatchEvent(new Event('change'))")
        names = browser.js("[...document.querySelectorAll('#list > div')].map((x) => x.dataset.value)")
        if order == "needed":
            costs = {unit.name: unit.held.cost for unit in reading.units}
            assert sorted({costs[name] for name in names}, reverse=True) == expected
        else:
            assert names[: len(expected)] == expected
    browser.js("document.querySelector('#list > div').click()")
    assert browser.state()["state"] == "together"
    assert browser.errors == []


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (1280, "dark"), (390, "light"), (390, "dark")])
def test_wide_and_narrow_light_and_dark(browser, page, width, scheme):
    browser.open(page, width, 844, ("prefers-color-scheme", scheme))
    for view in ("units", "gates", "surprise", "back"):
        browser.js(f"minigrad.choose({{view: '{view}'}})")
        assert browser.js("document.documentElement.scrollWidth <= innerWidth"), view
    ink, paper = browser.js(
        "[getComputedStyle(document.getElementById('text')).color, getComputedStyle(document.body).backgroundColor]"
    )
    light = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (ink, paper)]
    assert (light[0] > light[1]) == (scheme == "dark")
    assert browser.errors == []


def test_the_mouse_points_holds_and_jumps(browser, page):
    browser.open(page)

    def mouse(kind, selector):
        box = browser.js(DRIVEN["rectangle"](selector))
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        buttons = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
        browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **buttons)

    third, fifth = "#text > i:nth-child(3)", "#text > i:nth-child(5)"
    mouse("mouseMoved", third)
    assert browser.state()["at"] == 2
    mouse("mousePressed", third)
    mouse("mouseReleased", third)
    mouse("mouseMoved", fifth)
    assert browser.state()["at"] == 2  # held
    mouse("mousePressed", "#trace")
    mouse("mouseReleased", "#trace")
    assert browser.state()["at"] in (119, 120)
    assert browser.errors == []


def test_hostile_symbols_and_names_are_shown_and_do_nothing(browser, tmp_path):
    symbols, made = hostile()
    browser.open(made.save(tmp_path / "x.html"))
    for view in ("units", "gates", "surprise", "back"):
        browser.js(f"minigrad.choose({{view: '{view}'}}); for (let t = 0; t < {len(symbols)}; t++) minigrad.go(t); 0")
    browser.js("for (let k = 0; k < 4; k++) minigrad.next(1); minigrad.choose({view: 'units', state: 'together', unit: 3}); 0")
    assert browser.js("document.title") != "owned"
    assert browser.js("document.querySelectorAll('script').length") == 3
    assert browser.js("document.querySelectorAll('img, #text b, header script').length") == 0
    assert browser.js("document.documentElement.scrollWidth <= innerWidth")
    assert browser.errors == []


def test_a_text_without_features_and_a_cell_without_gates(browser, tmp_path):
    model = rnn.Sequence(rnn.RNN(2, 4, rng=0), rnn.Linear(4, 2, rng=1))
    made = rnn.draw.reading(model, "a" * 30, rnn.Alphabet("ab"), window=0)
    browser.open(made.save(tmp_path / "x.html"))
    assert text_of(browser, "title").endswith("it follows nothing single")
    visible = "[...document.querySelectorAll('header label, #states label')].filter((x) => !x.hidden).map((x) => x.textContent)"
    assert browser.js(visible) == ["Units", "Surprise", "h"]
    for key in "24":
        browser.press(key)
    assert browser.state()["view"] == "units"
    assert browser.errors == []


def test_words_and_two_layers(browser, tmp_path):
    words = rnn.text.words(ZEN)[:120]
    alphabet = rnn.Alphabet.of(words)
    embedding = rnn.Embedding(len(alphabet), 4, rng=2)
    model = rnn.Sequence(rnn.GRU(4, 5, 2, rng=0), rnn.Linear(5, len(alphabet), rng=1), embedding=embedding)
    browser.open(rnn.draw.reading(model, words, alphabet, twin=False).save(tmp_path / "x.html"))
    assert browser.js("[...document.querySelectorAll('#text > i')].map((x) => x.textContent)") == words
    browser.js("minigrad.choose({state: 'h1', unit: 4, view: 'gates'})")
    assert browser.state()["gate"] == "r1"  # of the same layer
    assert text_of(browser, "title") == "How far the reset gate of unit 4 is open"
    browser.js("minigrad.choose({gate: 'z0'})")
    assert browser.state()["gate"] == "z0"
    assert browser.errors == []


def test_a_notebook_shows_it_in_a_frame(browser, reading, tmp_path):
    frame = rnn.draw.reading(reading, height=700)._repr_html_()
    (tmp_path / "x.html").write_text(f"<!doctype html>{frame}<script>minigrad = 'outside'</script>", encoding="utf-8")
    browser.open(tmp_path / "x.html")
    with browser.frame():
        for _ in range(200):
            if browser.js("Boolean(window.minigrad)"):
                break
            time.sleep(0.05)
        browser.press("3")
        browser.js("minigrad.choose({view: 'surprise'})")
        assert text_of(browser, "title") == "What the network did not expect"
    assert browser.errors == []
