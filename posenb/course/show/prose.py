"""Sentences with computed numbers in them: none in the course is typed by hand."""

from __future__ import annotations

from IPython.display import Markdown, display


def say(text: str) -> None:
    """Show a text as the prose around it: Markdown, with mathematics between dollar signs."""
    display(Markdown(text))
