"""The repository as a whole: pins, README, citations, assets, and words that must not appear."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "posenb" / "assets"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TEXT = {".py", ".sh", ".md", ".toml", ".txt", ".cff", ".yml", ".yaml", ".json", ".ipynb", ""}
OWN_FOLDERS = ("posenb", "tests", "notebooks", "findings", ".ci")
MAX_ASSETS_MEGABYTES = 40

# Put together from pieces, so that this file does not contain them.
FORBIDDEN = [
    "TO" + "DO",
    "FIX" + "ME",
    "XX" + "X",
    "NotImplemented" + "Error",
    "py" + "pi.org",
    "python" + "hosted",
    "npm" + "js.org",
    "extra-" + "index-url",
]


def text_files() -> list[Path]:
    """Files that people wrote: those of the top folder and of the project's own folders."""
    files = [path for path in ROOT.iterdir() if path.is_file()]
    for folder in OWN_FOLDERS:
        files += [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    ignored = {"__pycache__", ".ipynb_checkpoints"}
    return [p for p in files if p.suffix in TEXT and not ignored & set(p.parts)]


def written_text(path: Path) -> str:
    """What somebody wrote: of a notebook the cells, not the bytes of its pictures."""
    if path.suffix == ".ipynb":
        notebook = nbformat.read(path, as_version=4)
        return "\n".join(cell.source for cell in notebook.cells)
    return path.read_text(encoding="utf-8")


def requirement_lines() -> list[str]:
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def dependencies(project: dict) -> list[str]:
    """Packages of others that the project or one of its extras asks for."""
    every = project["dependencies"] + sum(project["optional-dependencies"].values(), [])
    return [requirement for requirement in every if not requirement.startswith("posenb[")]


def test_every_requirement_is_pinned_exactly() -> None:
    loose = [
        line for line in requirement_lines() if not re.match(r"[\w.-]+==[\w.]+( ; .+)?$", line)
    ]
    assert not loose


def test_requirements_name_no_gpu_libraries_and_no_place() -> None:
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    for word in ("nvidia", "triton", "cuda", "://", "--index", "--find-links", "file:"):
        assert word not in text, word


def test_every_dependency_is_pinned_within_its_bounds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = dependencies(project)
    pins = {normalised(line.split("==")[0]): line.split("==")[1] for line in requirement_lines()}
    for requirement in wanted:
        name = normalised(re.match(r"[\w.-]+", requirement)[0])
        assert name in pins, f"{name} is missing: run `make requirements`"


def test_installed_versions_are_the_pinned_ones() -> None:
    from importlib.metadata import version

    for line in requirement_lines():
        if ";" in line:  # for other systems or Python versions
            continue
        name, pinned = line.split("==")
        assert version(name).split("+")[0] == pinned, f"{name}: install requirements.txt again"


def test_each_dependency_has_its_line_in_the_readme() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = dependencies(project)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for requirement in wanted:
        name = re.match(r"[\w.-]+", requirement)[0]
        assert f"`{name}`" in readme, f"{name}: say in the README why it is there"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_readme_lists_the_notebook_with_its_minutes(path: Path) -> None:
    header = nbformat.read(path, as_version=4).cells[0].source
    minutes = re.search(r"\*\*Minutes on CPU:\*\*\s*(\d+(?:\.\d+)?)", header)[1]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = [line for line in readme.splitlines() if f"notebooks/{path.name}" in line]
    assert any(row.startswith("|") and f"| {minutes} |" in row for row in rows), rows


def test_links_of_the_readme_lead_somewhere() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", readme)
    broken = [t for t in targets if "://" not in t and not (ROOT / t).exists()]
    assert targets
    assert not broken


def test_pictures_of_the_readme_have_alt_text() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    alts = re.findall(r"!\[([^\]]*)\]", readme)
    assert alts
    assert all(len(alt) >= 15 for alt in alts)


def test_the_five_papers_can_be_cited() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert len(citation["references"]) == 5
    for paper in citation["references"]:
        assert paper["title"]
        assert all("family-names" in author for author in paper["authors"])


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == project["version"]


def test_the_manifest_lists_every_asset_with_its_digest() -> None:
    manifest = json.loads((ASSETS / "manifest.json").read_text(encoding="utf-8"))
    files = {
        path.relative_to(ASSETS).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in ASSETS.rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"} and path.name != "manifest.json"
    }
    assert files
    assert manifest == files


def test_assets_are_small_enough_to_clone() -> None:
    size = sum(path.stat().st_size for path in ASSETS.rglob("*") if path.is_file())
    assert size <= MAX_ASSETS_MEGABYTES * 2**20


def test_nothing_is_left_undone_or_tied_to_a_registry() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in text_files()
        for word in FORBIDDEN
        if word in written_text(path)
    ]
    assert not found


def test_no_module_is_a_drawer_for_odds_and_ends() -> None:
    names = {path.name for path in (ROOT / "posenb").rglob("*.py")}
    assert not names & {"utils.py", "helpers.py", "common.py", "misc.py"}


def imported_from(folder: Path) -> Path:
    """Where a Python that is started in a folder finds the package."""
    command = [sys.executable, "-c", "import posenb, posenb.prior; print(posenb.__file__)"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"install the package once more, as make does: {done.stderr}"
    return Path(done.stdout.strip())


def test_the_package_is_the_one_of_this_folder() -> None:
    assert imported_from(ROOT.parent) == ROOT / "posenb" / "__init__.py"


def test_a_clone_named_posenb_does_not_hide_the_package(tmp_path: Path) -> None:
    """Next to a clone, its folder looks like a package without files (a namespace)."""
    clone = tmp_path / "posenb"
    for name in ("posenb/prior", "posenb/assets", "notebooks", "tests"):
        (clone / name).mkdir(parents=True)
    (clone / "README.md").write_text("# posenb\n", encoding="utf-8")
    assert imported_from(tmp_path) == ROOT / "posenb" / "__init__.py"


def built_editable(folder: Path) -> dict[str, str]:
    """The files, but for the metadata, that an editable install of a project would install."""
    made = folder / "wheels"
    made.mkdir()
    code = f"from setuptools import build_meta; build_meta.build_editable({str(made)!r})"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (wheel,) = made.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
        return {name: archive.read(name).decode() for name in names}


def test_an_editable_install_is_an_entry_of_pythons_path(tmp_path: Path) -> None:
    """A finder, which setuptools writes otherwise, is asked after the folders of the path."""
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, tmp_path)
    for package in ("posenb", "posenb/prior"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    (entry,) = built_editable(tmp_path).items()
    assert entry[0].endswith(".pth") and Path(entry[1].strip()) == tmp_path.resolve()
