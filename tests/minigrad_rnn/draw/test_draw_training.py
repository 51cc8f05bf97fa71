"""The page of a training: what is written into it, and, in a real browser where there is one, what it does."""

import base64
import hashlib
import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

import minigrad_rnn as rnn
from minigrad_rnn.draw.training_view import stills

DRIVEN = runpy.run_path(str(Path(__file__).parents[2] / "minigrad" / "pictures" / "browser.py"))
HOSTILE = DRIVEN["HOSTILE"]
TASK = rnn.tasks.hello()


def watched(layer=rnn.LSTM, epochs=12, data=TASK, model=None, **options):
    model = model or rnn.Sequence(layer(5, 4, rng=0), rnn.Linear(4, 5, rng=1))
    watch = rnn.Watch(**options)
    trainer = rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.1), compile=False)
    trainer.fit(data, epochs, progress=False, watch=watch, validation=data)
    return watch


@pytest.fixture(scope="module")
def watch():
    return watched()


@pytest.fixture(scope="module")
def page(watch, tmp_path_factory):
    made = rnn.draw.training(watch, symbols=TASK.alphabet, title="A title", note="A note & more")
    return made.save(tmp_path_factory.mktemp("page") / "training.html")


def facts_of(text):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


# -- what is written -----------------------------------------------------------------------------------------------------


def test_the_facts_are_those_of_the_snapshots(watch, page):
    facts = facts_of(page.read_text(encoding="utf-8"))
    assert facts["updates"] == watch.updates
    assert facts["says"] == [shot.says for shot in watch.snapshots]
    assert facts["count"] == len(watch.history.loss)
    np.testing.assert_allclose(facts["losses"], [shot.loss for shot in watch.snapshots], rtol=1e-3)
    assert [line["name"] for line in facts["lines"]] == ["h", "c"]
    for line in facts["lines"]:
        norms = watch.norms[line["name"]][:, 0]
        np.testing.assert_allclose(line["norms"], norms, rtol=1e-3)
        assert line["low"] == pytest.approx(min(norms.min(), norms.max() / 10), rel=1e-3)
        assert line["high"] == pytest.approx(norms.max(), rel=1e-3)


def cells(picture):
    """The colour of each cell of a `heat`, read back from its SVG."""
    wide, high = map(int, re.search(r'viewBox="0 0 (\d+) (\d+)"', picture).groups())
    found = np.zeros((high, wide), int)
    for opacity, path in re.findall(r'fill-opacity="([\d.]+)" d="(.*?)"', picture):
        for x, y, count in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\3z", path):
            found[int(y), int(x) : int(x) + int(count)] += round(float(opacity) * stills.LEVELS)
    return found


def test_each_cell_of_the_heat_has_the_colour_of_its_norm(watch):
    norms = watch.norms["c"][:, 0].copy()
    norms[0, 0], norms[1, 1], norms[2, 2] = 0.0, np.nan, 1e-300
    low, high = stills.range_of(norms)
    found = cells(stills.heat(norms, low, high))
    assert found[0, 0] == found[1, 1] == 0
    assert found[2, 2] == 1
    assert found[norms == high].tolist() == [stills.LEVELS]
    with np.errstate(divide="ignore"):
        wanted = 1 + (np.log10(norms) - np.log10(low)) / np.log10(high / low) * (stills.LEVELS - 1)
    some = norms > 0
    assert np.all(np.abs(found[some] - wanted[some]) <= 0.51)
    assert stills.range_of(np.zeros((2, 2))) == stills.range_of(np.full((2, 2), np.nan)) == (0.1, 1.0)
    assert not cells(stills.heat(np.zeros((2, 3)), 0.1, 1.0)).any()


def test_the_curve_is_the_history():
    losses = [4.0, 2.0, float("nan"), 1.0]
    picture, top = stills.curve(losses, {2: 3.0})
    line, dots = re.findall(r' d="M(.*?)"', picture)
    points = np.array([point.split() for point in line.split("L")], float)
    np.testing.assert_allclose(points[:, 0], np.array([0.5, 1.5, 3.5]) * 250)
    np.testing.assert_allclose(100 - points[:, 1], np.array([4, 2, 1]) * 25)
    assert (dots, top) == ("500 25h0", 4.0)
    long = stills.curve(np.linspace(2, 1, 12345).tolist(), {})[0]
    assert long.count("L") == stills.POINTS - 1
    assert "<path" in stills.curve([], {})[0]


def test_only_its_own_style_and_script_may_run_and_it_is_the_same_twice(watch, page):
    text = page.read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', text)[1]
    for tag in ("style", "script"):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
        assert inside.isascii()
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert not re.search(r'https?://(?!www\.w3\.org/2000/svg)|style="| on\w+=', text)
    again = rnn.draw.training(watched(), symbols=TASK.alphabet, title="A title", note="A note & more")
    assert again.html == text
    assert 'title="A network as it learns"' in watch._repr_html_()
    assert rnn.Watch()._repr_html_().startswith("&lt;Watch of no training")


def test_symbols_name_the_steps_of_one_sequence(watch):
    named = re.search('<div class="steps named".*?>(.*?)</div>', rnn.draw.training(watch, symbols=TASK.alphabet).html)[1]
    assert re.sub("<.*?>", "", named) == "hihell"
    assert "steps named" not in rnn.draw.training(watch).html
    with pytest.raises(ValueError, match="5 features, and symbols has 2"):
        rnn.draw.training(watch, symbols=rnn.Alphabet("ab"))


def hostile():
    """Hostile texts, symbols and names of a state."""
    alphabet = rnn.Alphabet([*HOSTILE[:3], "</script><b>", "{{data}}"])

    class Cell(rnn.GRUCell):
        state_names = ("<img src=x onerror=\"document.title='owned'\">",)

    model = rnn.Sequence(rnn.Recurrent(Cell(5, 4, rng=0), rng=0), rnn.Linear(4, 5, rng=1))
    said = iter("".join(HOSTILE)[k:] for k in range(100))
    made = watched(model=model, epochs=3, says=lambda model: next(said))
    return rnn.draw.training(made, symbols=alphabet, title="".join(HOSTILE), note="".join(HOSTILE))


def test_no_text_or_name_is_taken_for_markup():
    text = hostile().html
    assert facts_of(text)["says"][0] == "".join(HOSTILE)
    body = text[text.index("<body") : text.index('<script type="application/json"')]
    assert "<script" not in body
    assert "<img" not in body
    assert "{{data}}" in body  # as it was given
    assert not re.search("[<>&]", re.search(r'id="data">(.*?)</script>', text)[1])


# -- in a browser --------------------------------------------------------------------------------------------------------


def text_of(browser, name):
    return browser.js(f"document.getElementById('{name}').textContent")


def click(browser, selector, right=0.5, down=0.5):
    browser.js(f"document.querySelector('{selector}').scrollIntoView({{block: 'center'}})")
    box = browser.js(DRIVEN["rectangle"](selector))
    place = {"x": box["x"] + box["width"] * right, "y": box["y"] + box["height"] * down, "button": "left", "clickCount": 1}
    for kind in ("mousePressed", "mouseReleased"):
        browser.call("Input.dispatchMouseEvent", type=kind, **place)


def test_every_moment_shows_its_snapshot(browser, watch, page):
    browser.open(page)
    assert browser.state() == {"at": 12, "line": 0, "playing": False}
    for k, shot in enumerate(watch.snapshots):
        browser.js(f"minigrad.go({k})")
        assert text_of(browser, "title") == f"After {k} update{'s' * (k != 1)} it says"
        assert text_of(browser, "says") == shot.says
        loss = text_of(browser, "sub").split()[1]
        assert loss.removesuffix(".") == f"{shot.loss:.3g}"  # as in the table
        spoken = browser.js("document.getElementById('at').getAttribute('aria-valuetext')")
        assert spoken == f"after {k} update{'s' * (k != 1)}, loss {loss.removesuffix('.')}, it says {shot.says}"
        row = [f"{k:,}", f"{shot.loss:.3g}", f"{watch.norms['h'][k, 0, 0]:.3g}", shot.says]
        assert browser.js("[...document.querySelector('#rows .now').children].map((x) => x.textContent)") == row
        for line, name in enumerate(("h", "c")):
            browser.js(f"minigrad.choose({line})")
            norms = watch.norms[name][:, 0]
            low, high = stills.range_of(norms)
            tops = re.findall(r"M\d+ 1.04V([\d.]+)h1", browser.js("document.getElementById('present').getAttribute('d')"))
            levels = (1.04 - np.array(tops, float) - 0.06) / 0.94
            np.testing.assert_allclose(levels, np.log(norms[k] / low) / np.log(high / low), atol=2e-3)
        browser.js("minigrad.choose(0)")
    assert browser.errors == []


def test_every_control_works(browser, page):
    browser.open(f"{page}#update=3,c")
    assert browser.state() == {"at": 3, "line": 1, "playing": False}
    assert browser.js("[...document.querySelectorAll('.heat')].map((x) => x.hidden)") == [True, False]
    for key, at in (("ArrowRight", 4), ("ArrowLeft", 3), ("Home", 0), ("End", 12)):
        browser.press(key)
        assert browser.state()["at"] == at
    browser.js("document.getElementById('at').focus()")
    browser.call("Input.dispatchKeyEvent", type="rawKeyDown", key="ArrowLeft", code="ArrowLeft", windowsVirtualKeyCode=37)
    assert browser.state()["at"] == 11
    browser.js("document.querySelector('[name=line]:checked').focus()")
    browser.call("Input.dispatchKeyEvent", type="rawKeyDown", key="ArrowLeft", code="ArrowLeft", windowsVirtualKeyCode=37)
    assert browser.state() == {"at": 11, "line": 0, "playing": False}
    click(browser, "#all", down=2.5 / 13)
    assert browser.state()["at"] == 2
    click(browser, "#curve", right=0.75)
    assert browser.state()["at"] == 9
    click(browser, "#rows tr:nth-child(8)")
    assert browser.state()["at"] == 7
    browser.js("minigrad.go(11)")
    click(browser, "#play")
    assert browser.state()["playing"]
    assert browser.js("document.getElementById('play').getAttribute('aria-label')") == "Pause"
    browser.js("new Promise((done) => setTimeout(done, 400))")
    assert browser.state() == {"at": 12, "line": 0, "playing": False}  # it ends at the last one
    browser.press("p")
    assert browser.state() == {"at": 0, "line": 0, "playing": True}
    browser.press("p")
    assert not browser.state()["playing"]
    browser.js("location.hash = '#update=5,h'; new Promise(requestAnimationFrame)")
    assert browser.state()["at"] == 5
    assert browser.errors == []


@pytest.mark.parametrize(("width", "scheme"), [(1400, "dark"), (390, "light")])
def test_wide_and_narrow_light_and_dark(browser, page, width, scheme):
    browser.open(page, width, 844, ("prefers-color-scheme", scheme))
    assert browser.js("document.documentElement.scrollWidth <= innerWidth")
    slider = browser.js(DRIVEN["rectangle"]("#at"))
    assert 0 <= slider["top"] < slider["bottom"] <= 844  # in sight, on a phone at its lower edge
    ink, paper = browser.js("[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]")
    light = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (ink, paper)]
    assert (light[0] > light[1]) == (scheme == "dark")
    assert browser.errors == []


def test_hostile_texts_and_names_are_shown_and_do_nothing(browser, tmp_path):
    browser.open(hostile().save(tmp_path / "x.html"))
    browser.js("for (let k = 0; k < 4; k++) minigrad.go(k); minigrad.choose(0)")
    assert browser.js("document.title") != "owned"
    assert browser.js("document.querySelectorAll('img, header script, td b').length") == 0
    assert browser.js("document.querySelectorAll('script').length") == 2
    assert browser.js("document.documentElement.scrollWidth <= innerWidth")
    assert browser.errors == []
