"""The program that the documentation shows is the program.

Run as a script, this writes the program of today into the page.
"""

import re
from pathlib import Path
from textwrap import indent

import minigrad as mg
import minigrad_rnn as rnn

PAGE = Path(__file__).parents[3] / "examples" / "COMPILED.md"
LESSON = PAGE.with_name("compiled.py")


def parts(source: str) -> list[str]:
    """The program before, in, between and after its two loops, and the comments at its head."""
    names, run, program = source.rstrip().partition("def run():\n")
    *found, weights, update = program.split("\n\n")
    assert len(found) == 4, "the page has room for a loop forward and a loop backward"
    return [f"{part}\n" for part in (run + found[0], *found[1:], f"{weights}\n\n{update}", names.rstrip())]


def page_of_today() -> tuple[str, str]:
    """Return the page as it is, and as it is with the program that its code gives."""
    page = PAGE.read_text(encoding="utf-8")
    space: dict[str, object] = {}
    exec(page.split("```python\n")[1].split("```")[0].replace("print(step.source)", ""), space)
    step = space["step"]
    assert isinstance(step, mg.compile(lambda: None).__class__)
    texts = iter(parts(step.source))
    blocks = re.compile(r"^```text\n.*?^```$", re.MULTILINE | re.DOTALL)
    return page, blocks.sub(lambda _: f"```text\n{next(texts)}```", page)


def test_the_program_in_the_documentation_is_the_one_that_runs() -> None:
    page, today = page_of_today()
    assert page == today, "`python tests/minigrad/compiling/test_source.py` writes it again"


def test_what_is_written_by_hand_is_what_the_lesson_runs() -> None:
    lesson = LESSON.read_text(encoding="utf-8")
    _, *by_hand = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert len(by_hand) == 5
    assert [part for part in by_hand if indent(part, " " * 8) not in lesson] == []


def test_it_learns_what_the_network_learns() -> None:
    task = rnn.tasks.hello()
    model = rnn.Sequence(rnn.RNN(5, 5, rng=0), rnn.Linear(5, 5, rng=1))
    optimizer = rnn.Adam(model.parameters(), lr=0.1)

    @mg.compile
    def step(x, y):  # type: ignore[no-untyped-def]
        optimizer.zero_grad()
        loss = rnn.sequence_cross_entropy(model(x), y).total
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(50):
        step(task.inputs, task.targets)
    assert rnn.predict(model, task) == "ihello"


if __name__ == "__main__":
    PAGE.write_text(page_of_today()[1], encoding="utf-8")
