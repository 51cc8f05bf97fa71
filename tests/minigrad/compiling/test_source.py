"""The program that the documentation shows is the program."""

from pathlib import Path

import minigrad as mg
import minigrad_rnn as rnn

PAGE = Path(__file__).parents[3] / "examples" / "COMPILED.md"


def test_the_program_in_the_documentation_is_the_one_that_runs() -> None:
    _, code, _, program, _ = PAGE.read_text(encoding="utf-8").split("```")
    space: dict[str, object] = {}
    exec(code.removeprefix("python\n").replace("print(step.source)", ""), space)
    step = space["step"]
    assert isinstance(step, mg.compile(lambda: None).__class__)
    assert step.source.rstrip() == program.removeprefix("text\n").rstrip()


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
