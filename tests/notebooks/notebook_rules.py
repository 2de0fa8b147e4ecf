"""The rules of a committed notebook, each a function from a notebook to a list of problems.

A problem is one sentence that names the cell and says what to do. No problems: an empty list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

MAX_MEGABYTES = 8
MAX_MINUTES = 4
MIN_CELLS, MAX_CELLS = 60, 110
MAX_CODE_LINES = 30
MAX_FIGURE_LINES = 15
MAX_CODE_BEFORE_PICTURE = 8  # open lines of code: the first picture stands on the first screen
MIN_ALT_LENGTH = 15
MIN_EXERCISES = 4
MIN_RECORDED_VERSIONS = 4

MINUTES = re.compile(r"\*\*Minutes on CPU:\*\*\s*(\d+(?:\.\d+)?)")
CHECK_CALL = re.compile(r"""\bcheck\(\s*["'](\d\d\.\d+)["']""")
SOLUTION = re.compile(r"<details>.*?```python\n(.*?)```.*?</details>", re.DOTALL)
IMG_TAG = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
ALT = re.compile(r"""\balt\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
MARKDOWN_IMAGE = re.compile(r"!\[([^\]]*)\]\([^)]*\)")
SVG_ALT = re.compile(r"""<title[^>]*>([^<]*)</title>|\baria-label\s*=\s*["']([^"']*)["']""")
NOISE = re.compile(r"\b\w*Warning\b|Traceback \(most recent call last\)")
MACHINE_PATH = re.compile(
    r"(?<![\w./:])/(?:home|root|Users|tmp|work|opt|mnt|usr|var)/\w+|\b[A-Z]:\\+\w+"
)
MAGIC = re.compile(r"^\s*[%!]", re.MULTILINE)
PLOTS = re.compile(
    r"\bsay\(|\bnew_figure\(|\bfigures\.(?!Table\b)\w+\(|\bcards\.(?:table|provenance)\(|\bpeople\.\w+\(|"
    r"\bscenes3d\.\w+\(|\bposes3d\.\w+\(|\.savefig\(|\bexplorer\.\w+\("
)
FRAGMENT = re.compile(
    r"""^\s*f?"[^"{}\s]{0,12}\s*"\s*$|^\s*f"\{[^"]*\}[^"\s]*\s*"\s*$""", re.MULTILINE
)
DISPLAY = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
EMBEDDED = re.compile(r"data:[\w/+.-]+;base64,[A-Za-z0-9+/=\s]+")
EXPLORER = re.compile(r"\b(?:explore|interact|interactive|interactive_output)\(")
PICTURE_TYPES = ("image/png", "image/jpeg", "image/svg+xml")
PLOTLY = "application/vnd.plotly.v1+json"


@dataclass(frozen=True)
class Exercise:
    """One check("NN.k", ...) of a notebook and the folded solution below it."""

    name: str
    cell: int
    solution: str | None


def code_cells(notebook: NotebookNode) -> Iterator[tuple[int, NotebookNode]]:
    """(position from 0, cell) of every code cell."""
    return ((i, cell) for i, cell in enumerate(notebook.cells) if cell.cell_type == "code")


def stated_minutes(notebook: NotebookNode) -> float | None:
    """The minutes that the header promises, or None without such a line."""
    found = MINUTES.search(notebook.cells[0].source) if notebook.cells else None
    return float(found[1]) if found else None


def exercises(notebook: NotebookNode) -> list[Exercise]:
    """Exercises in order; a solution is looked for up to the next exercise."""
    starts = [
        (i, m[1]) for i, cell in code_cells(notebook) if (m := CHECK_CALL.search(cell.source))
    ]
    found = []
    for number, (start, name) in enumerate(starts):
        end = starts[number + 1][0] if number + 1 < len(starts) else len(notebook.cells)
        prose = "\n".join(c.source for c in notebook.cells[start:end] if c.cell_type == "markdown")
        solution = SOLUTION.search(prose)
        found.append(Exercise(name, start, solution[1] if solution else None))
    return found


def output_text(output: NotebookNode) -> str:
    """All text that a reader sees of an output, without the bytes of embedded pictures."""
    if output.output_type == "stream":
        return output.text
    data = output.get("data", {})
    return EMBEDDED.sub("", "\n".join(str(data[kind]) for kind in data if kind.startswith("text/")))


def alt_texts(output: NotebookNode) -> list[str]:
    """One text a picture in the output, empty where it has none."""
    data, metadata = output.get("data", {}), output.get("metadata", {})
    html = str(data.get("text/html", ""))
    tags = IMG_TAG.findall(html)
    texts = ["".join(alt.groups("")) if (alt := ALT.search(tag)) else "" for tag in tags]
    for kind in PICTURE_TYPES:
        if kind not in data or tags:  # an <img> stands for the same picture
            continue
        text = metadata.get(kind, {}).get("alt", "") or metadata.get("alt", "")
        if not text and kind == "image/svg+xml" and (title := SVG_ALT.search(str(data[kind]))):
            text = "".join(title.groups(""))
        texts.append(text)
    return texts


def is_valid(notebook: NotebookNode) -> list[str]:
    """The file follows the notebook format, cell ids included."""
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        return [f"the notebook format is violated: {error.message}"]
    return []


def ran_in_order(notebook: NotebookNode) -> list[str]:
    """Execution counts are 1, 2, 3, ... without a gap: one run from a fresh kernel."""
    counts = [cell.execution_count for _, cell in code_cells(notebook) if cell.source.strip()]
    if counts == list(range(1, len(counts) + 1)):
        return []
    return [f"execution counts are {counts}: run it in order with tests/notebooks/execute.py"]


def ran_without_noise(notebook: NotebookNode) -> list[str]:
    """No errors, nothing on stderr, no warnings."""
    problems = []
    for i, cell in code_cells(notebook):
        for output in cell.outputs:
            if output.output_type == "error":
                problems.append(f"cell {i} ended in {output.ename}: {output.evalue}")
            elif output.get("name") == "stderr":
                problems.append(f"cell {i} writes to stderr: {output.text.strip()[:80]!r}")
            elif noise := NOISE.search(output_text(output)):
                problems.append(f"cell {i} shows {noise[0]!r}: mend what it warns of")
    return problems


def pictures_have_alt_text(notebook: NotebookNode) -> list[str]:
    """Every picture says in words what it shows, in outputs and in markdown."""
    problems = []
    for i, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            texts = [text for output in cell.outputs for text in alt_texts(output)]
        else:
            tags = IMG_TAG.findall(cell.source)
            texts = ["".join(alt.groups("")) if (alt := ALT.search(tag)) else "" for tag in tags]
            texts += MARKDOWN_IMAGE.findall(cell.source)
        problems += [
            f"cell {i} has a picture with alt text {text!r}: describe it in a sentence"
            for text in texts
            if len(text.strip()) < MIN_ALT_LENGTH
        ]
    return problems


def interactive_has_a_static_picture(notebook: NotebookNode) -> list[str]:
    """A reader without a kernel sees a picture with each widget and each plotly figure."""
    cells = list(code_cells(notebook))
    problems = []
    for number, (i, cell) in enumerate(cells):
        plotly = any(PLOTLY in output.get("data", {}) for output in cell.outputs)
        if not (plotly or EXPLORER.search(cell.source)):
            continue
        nearby = [output for _, near in cells[number : number + 2] for output in near.outputs]
        if not any(alt_texts(output) for output in nearby):
            problems.append(f"cell {i} is interactive, but it and the next show no still picture")
    return problems


def has_a_header(notebook: NotebookNode) -> list[str]:
    """The first cell: a title, prerequisites, and minutes within the course's limit."""
    first = notebook.cells[0] if notebook.cells else None
    if first is None or first.cell_type != "markdown":
        return ["the first cell must be markdown: title, prerequisites, minutes"]
    problems = []
    if not first.source.startswith("# "):
        problems.append("the first cell must start with '# ' and the title")
    if "**Prerequisites:**" not in first.source:
        problems.append("the first cell needs a line '**Prerequisites:** ...'")
    minutes = stated_minutes(notebook)
    if minutes is None:
        problems.append("the first cell needs a line '**Minutes on CPU:** N'")
    elif not 0 < minutes <= MAX_MINUTES:
        problems.append(f"the header states {minutes:g} minutes: at most {MAX_MINUTES} are allowed")
    return problems


def kept_its_minutes(notebook: NotebookNode) -> list[str]:
    """The run whose outputs are committed took no longer than the header says."""
    minutes = stated_minutes(notebook) or 0.0
    seconds = notebook.metadata.get("posenb", {}).get("seconds")
    if seconds is None:
        return ["the run's seconds are not recorded: run it with tests/notebooks/execute.py"]
    if seconds > 60 * minutes:
        return [f"the committed run took {seconds} s, the header states {minutes:g} minutes"]
    return []


def has_a_readable_length(notebook: NotebookNode) -> list[str]:
    """One sitting, and pieces of code that fit on a slide."""
    problems = []
    if not MIN_CELLS <= len(notebook.cells) <= MAX_CELLS:
        problems.append(f"{len(notebook.cells)} cells: {MIN_CELLS} to {MAX_CELLS} are readable")
    for i, cell in code_cells(notebook):
        lines = [line for line in cell.source.splitlines() if line.strip()]
        if len(lines) > MAX_CODE_LINES:
            problems.append(f"cell {i} has {len(lines)} lines of code: at most {MAX_CODE_LINES}")
    return problems


def is_folded(cell: NotebookNode) -> bool:
    """Whether a reader sees the outputs of a cell only, in JupyterLab and on a page."""
    hidden = bool(cell.metadata.get("jupyter", {}).get("source_hidden"))
    return hidden and "hide-input" in cell.metadata.get("tags", [])


def reads_as_a_page(notebook: NotebookNode) -> list[str]:
    """What is open is worth reading aloud; plots and sentences made from numbers are folded."""
    problems, before, seen = [], 0, False
    for i, cell in code_cells(notebook):
        lines = [line for line in cell.source.splitlines() if line.strip()]
        folded, tags = is_folded(cell), cell.metadata.get("tags", [])
        if folded != ("hide-input" in tags) or folded != bool(
            cell.metadata.get("jupyter", {}).get("source_hidden")
        ):
            problems.append(f"cell {i} is folded in one way: set source_hidden and hide-input")
        if not folded and PLOTS.search(cell.source) and not CHECK_CALL.search(cell.source):
            problems.append(f"cell {i} plots or says, and is open: fold it, or split the code off")
        if "new_figure(" in cell.source and len(lines) > MAX_FIGURE_LINES:
            problems.append(
                f"cell {i} draws in {len(lines)} lines: over {MAX_FIGURE_LINES} they become a "
                "named function of the course"
            )
        if re.search(r"^def say\(", cell.source, re.MULTILINE):
            problems.append(f"cell {i} defines say: import it from posenb.course.show.prose")
        if FRAGMENT.search(cell.source):
            problems.append(f"cell {i} breaks a sentence into one-word strings")
        seen = seen or any(alt_texts(output) for output in cell.outputs)
        before += 0 if seen or folded else len(lines)
    if before > MAX_CODE_BEFORE_PICTURE:
        problems.append(f"{before} open lines of code stand before the first picture")
    return problems


def names_the_python_kernel(notebook: NotebookNode) -> list[str]:
    """Any machine has the kernel that the notebook asks for."""
    spec = notebook.metadata.get("kernelspec", {})
    if spec.get("name") == "python3" and spec.get("language") == "python":
        return []
    return [f"kernelspec is {dict(spec)}: it must be python3, language python"]


def knows_no_machine(notebook: NotebookNode) -> list[str]:
    """No path of one person's disk, in code, prose or output."""
    problems = []
    for i, cell in enumerate(notebook.cells):
        texts = [cell.source]
        if cell.cell_type == "code":
            texts += [output_text(output) for output in cell.outputs]
        problems += [
            f"cell {i} names {found[0]!r}, a path of one machine"
            for text in texts
            if (found := MACHINE_PATH.search(text))
        ]
    return problems


def uses_no_magics(notebook: NotebookNode) -> list[str]:
    """A failing magic or shell command passes nbval unseen, so there are none."""
    return [
        f"cell {i} uses a magic or a shell command: write Python"
        for i, cell in code_cells(notebook)
        if MAGIC.search(cell.source)
    ]


def equations_can_be_shown(notebook: NotebookNode) -> list[str]:
    """MathJax shows an error instead of a display with two numbers and one row."""
    return [
        f"cell {i} numbers an equation twice: {display.strip()[:40]}"
        for i, cell in enumerate(notebook.cells)
        if cell.cell_type == "markdown"
        for display in DISPLAY.findall(cell.source)
        if display.count(r"\tag") > 1 and r"\begin{align" not in display
    ]


def has_exercises(notebook: NotebookNode) -> list[str]:
    """Enough of them, each open when untouched, each with a folded solution that is checked."""
    found = exercises(notebook)
    problems = []
    if len(found) < MIN_EXERCISES:
        problems.append(f"{len(found)} exercises: at least {MIN_EXERCISES} are needed")
    names = [exercise.name for exercise in found]
    if len(set(names)) != len(names):
        problems.append(f"an exercise is checked twice: {names}")
    for exercise in found:
        shown = " ".join(output_text(output) for output in notebook.cells[exercise.cell].outputs)
        if "open" not in shown.lower():
            problems.append(f"exercise {exercise.name}, untouched, must print that it is open")
        if exercise.solution is None:
            problems.append(f"exercise {exercise.name} has no <details> with a ```python solution")
        elif exercise.name not in CHECK_CALL.findall(exercise.solution):
            problems.append(f"the solution of {exercise.name} must end with its check(...)")
    return problems


def size_is_small(path: Path) -> list[str]:
    """The file opens quickly in a browser."""
    megabytes = path.stat().st_size / 2**20
    return [f"{megabytes:.1f} MB: at most {MAX_MEGABYTES}"] if megabytes > MAX_MEGABYTES else []


def versions_are_pinned(notebook: NotebookNode, pins: dict[str, str]) -> list[str]:
    """Outputs were made with the versions of requirements.txt."""
    versions = notebook.metadata.get("posenb", {}).get("versions", {})
    problems = [
        f"outputs were made with {name} {version}, requirements.txt has {pins.get(name, 'none')}"
        for name, version in versions.items()
        if pins.get(name) != version
    ]
    if len(versions) < MIN_RECORDED_VERSIONS or "torch" not in versions:
        problems.append("versions are not recorded: run it with tests/notebooks/execute.py")
    return problems


RULES: tuple[Callable[[NotebookNode], list[str]], ...] = (
    is_valid,
    ran_in_order,
    ran_without_noise,
    pictures_have_alt_text,
    interactive_has_a_static_picture,
    has_a_header,
    kept_its_minutes,
    has_a_readable_length,
    reads_as_a_page,
    names_the_python_kernel,
    knows_no_machine,
    uses_no_magics,
    equations_can_be_shown,
    has_exercises,
)
