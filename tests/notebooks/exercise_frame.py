"""What every chapter's checkers are put through; a chapter's test brings the answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from posenb.course.teach.exercises import Outcome, check, registered


class ExerciseTests:
    """Right answers pass, plausible wrong ones get a helpful word, untouched ones are open.

    A chapter's `TestExercises` inherits these tests and names its chapter and answers.
    """

    chapter: str
    right: Sequence[tuple[str, Any]]  # exercise, answer; several answers may be right
    wrong: Sequence[tuple[str, Any, str]]  # exercise, answer, a word that the reply must have

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        names = sorted({name for name, _ in self.right})
        functions = sorted({name for name, answer in self.right if callable(answer)})
        arguments: dict[str, tuple[str, Sequence[Any]]] = {
            "test_a_right_answer_passes": ("name, answer", self.right),
            "test_a_wrong_answer_is_told_why": ("name, answer, word", self.wrong),
            "test_an_untouched_exercise_is_open": ("name", names),
            "test_an_answer_that_raises_is_wrong": ("name", functions),
        }
        if metafunc.function.__name__ in arguments:
            metafunc.parametrize(*arguments[metafunc.function.__name__])

    def test_all_exercises_are_covered(self) -> None:
        mine = {name for name in registered() if name.startswith(f"{self.chapter}.")}
        assert mine == {name for name, _ in self.right}
        assert all(sum(wrong[0] == name for wrong in self.wrong) >= 3 for name in mine)

    def test_a_right_answer_passes(
        self, name: str, answer: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert check(name, answer) is Outcome.RIGHT, capsys.readouterr().out

    def test_a_wrong_answer_is_told_why(
        self, name: str, answer: Any, word: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert check(name, answer) is Outcome.WRONG
        assert word in capsys.readouterr().out

    def test_an_untouched_exercise_is_open(
        self, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert check(name, None) is Outcome.OPEN
        assert "open" in capsys.readouterr().out

    def test_an_answer_that_raises_is_wrong(
        self, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def broken(*_: Any) -> Any:
            raise RuntimeError("broken")

        assert check(name, broken) is Outcome.WRONG
        assert "RuntimeError" in capsys.readouterr().out
