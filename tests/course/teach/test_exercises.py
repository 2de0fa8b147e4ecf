from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.formatters import DisplayFormatter

from posenb.course.teach import exercises
from posenb.course.teach.exercises import Outcome, check, exercise


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(exercises, "_EXERCISES", {})

    @exercise("01.3", title="Double it", minutes=5, difficulty="easy")
    def double(answer: Any) -> str | None:
        return None if answer(2) == 4 else f"for 2 your answer gives {answer(2)}, not 4"

    yield


@pytest.mark.parametrize("answer", [None, ...])
def test_an_open_exercise_says_so(answer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = check("01.3", answer)
    assert outcome is Outcome.OPEN and not outcome
    assert capsys.readouterr().out == "Exercise 01.3 is open: Double it (easy, 5 minutes).\n"


def test_a_right_answer_is_true(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = check("01.3", lambda x: 2 * x)
    assert outcome is Outcome.RIGHT and outcome
    assert capsys.readouterr().out == "Exercise 01.3 is right.\n"


def test_a_wrong_answer_hears_why(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = check("01.3", lambda x: x + 1)
    assert outcome is Outcome.WRONG and not outcome
    assert capsys.readouterr().out == "Exercise 01.3, not yet: for 2 your answer gives 3, not 4\n"


def test_an_error_in_an_answer_is_wrong_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert check("01.3", lambda x: x / 0) is Outcome.WRONG
    assert "ended in an error. ZeroDivisionError: division by zero" in capsys.readouterr().out
    assert check("01.3", 5) is Outcome.WRONG  # not even a function


def test_unknown_exercises_name_the_known() -> None:
    with pytest.raises(ValueError, match=r"no exercise '1\.3'; there are: 01\.3"):
        check("1.3", None)


def test_another_checker_may_not_take_a_name() -> None:
    with pytest.raises(ValueError, match=r"01\.3 has a checker already: Double it"):

        @exercise("01.3", title="Triple it", minutes=5, difficulty="hard")
        def triple(answer: Any) -> str | None:
            return None


def test_the_same_checker_may_come_again() -> None:
    for title in ("Halve it", "Halve it, reloaded"):

        @exercise("00.1", title=title, minutes=5, difficulty="easy")
        def halve(answer: Any) -> str | None:
            return None

        assert halve(1) is None  # the decorator hands the checker back
    assert exercises.registered() == ("00.1", "01.3")


def test_an_outcome_at_the_end_of_a_cell_shows_nothing() -> None:
    assert [DisplayFormatter().format(outcome) for outcome in Outcome] == [({}, {})] * 3
