"""The editions and their build, tried on a toy course in a temporary folder."""

import base64
import io
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

import build
import editions

TOY = """\
# minutes: 8, 15

# %% [markdown]
# # Count the queries
#
# {{header}}

# %% tags=["claim:W1", "answer"]
total = 1 + 1
total

# %% tags=["nbval-ignore-output"] why="milliseconds"
import time
time.perf_counter_ns()

# %% [markdown] tags=["instructor"]
# Ask the room first.

# %% tags=["exercise"]
def answer():
    # starter: ...
    # solution-begin
    return 42
    # solution-end


# %%
print(answer(), total)

# %%
from IPython.display import display
import base64
import matplotlib.pyplot as plt
display({"text/plain": "a button", "application/vnd.jupyter.widget-view+json": {"model_id": "x"}}, raw=True)
_ = plt.plot([1, 2])
plt.show()
"""
SECOND = """\
# minutes: 25, 40

# %% [markdown]
# # Then the next
# {{header}}

# %%
import os
sorted(name for name in os.environ if name in ("DATABASE_URL", "REDIS_URL")), hash("the seed is fixed")
"""
INDEX = "# %% [markdown]\n# # All of it\n# {{map}}\n"


def toy_course(folder: Path) -> Path:
    (folder / "src").mkdir(parents=True)
    for name, text in (("00_toy", TOY), ("01_next", SECOND), ("index", INDEX)):
        (folder / "src" / f"{name}.py").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = toy_course(tmp_path_factory.mktemp("course") / "notebooks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REDIS_URL", "redis://somebody.else:6379/0")
        assert build.main(["--notebooks", str(folder), "-j", "2"]) == 0
    return folder


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.ipynb"))}


def code(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def test_a_source_makes_three_books_and_the_index_one(built: Path) -> None:
    assert sorted(snapshot(built)) == [
        "00_toy.ipynb",
        "01_next.ipynb",
        "index.ipynb",
        "instructor/00_toy.ipynb",
        "instructor/01_next.ipynb",
        "solutions/00_toy.ipynb",
        "solutions/01_next.ipynb",
    ]


def test_the_learner_finds_the_starter_and_the_solutions_are_solved(built: Path) -> None:
    learner, solutions = code(built / "00_toy.ipynb"), code(built / "solutions/00_toy.ipynb")
    assert learner[2].source == "def answer():\n    ..."
    assert solutions[2].source == "def answer():\n    return 42"
    assert learner[3].outputs[0].text == "None 2\n"
    assert solutions[3].outputs[0].text == "42 2\n"


def test_the_instructor_gets_the_solutions_outputs_notes_and_slides(built: Path) -> None:
    instructor = read(built / "instructor/00_toy.ipynb")
    assert [cell.outputs for cell in instructor.cells if cell.cell_type == "code"] == [
        cell.outputs for cell in code(built / "solutions/00_toy.ipynb")
    ]
    assert "Ask the room first." in [cell.source for cell in instructor.cells]
    assert "Ask the room first." not in [cell.source for cell in read(built / "solutions/00_toy.ipynb").cells]
    kinds = [cell.metadata.slideshow.slide_type for cell in instructor.cells]
    assert kinds == ["slide", "-", "-", "notes", "-", "-", "-"]


def test_headers_link_the_neighbours_and_the_map_lists_them(built: Path) -> None:
    header = read(built / "00_toy.ipynb").cells[0].source
    assert "**Core 8 minutes, everything 15 minutes**" in header and "[Then the next →](01_next.ipynb)" in header
    assert "[All notebooks](../index.ipynb)" in read(built / "solutions/01_next.ipynb").cells[0].source
    assert "| 01 | [Then the next](01_next.ipynb) | 25 | 40 |" in read(built / "index.ipynb").cells[0].source


def test_built_notebooks_carry_tags_and_no_trace_of_the_machine(built: Path) -> None:
    cells = code(built / "00_toy.ipynb")
    assert cells[0].metadata == {"tags": ["claim:W1", "answer"]}
    assert cells[1].metadata == {"tags": ["nbval-ignore-output"], "why": "milliseconds"}
    assert [cell.execution_count for cell in cells] == [1, 2, 3, 4, 5]
    assert cells[4].outputs[0].data == {"text/plain": "a button"}  # the widget's id is another on every run
    assert "version" not in read(built / "00_toy.ipynb").metadata.language_info
    assert code(built / "01_next.ipynb")[0].outputs[0].data["text/plain"].startswith("([], ")


def test_a_rebuild_changes_no_byte_and_check_agrees(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(built)
    assert build.main(["--notebooks", str(built), "-j", "2"]) == 0
    assert snapshot(built) == before
    assert build.main(["--notebooks", str(built), "--check", "-j", "2"]) == 0
    assert snapshot(built) == before
    assert "as their sources say" in capsys.readouterr().out
    assert build.main(["--notebooks", str(built), "--check", "--unrun"]) == 0


def test_check_names_each_kind_of_drift(built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    course = toy_course(tmp_path / "notebooks")
    for name, content in snapshot(built).items():
        (course / name).parent.mkdir(exist_ok=True)
        (course / name).write_bytes(content)
    learner = course / "00_toy.ipynb"
    nb = read(learner)
    nb.cells[1].outputs[0].data["text/plain"] = "3"
    nb.cells[2].outputs[0].data["text/plain"] = "another time, which is ignored"
    nb.cells[5].outputs.pop()  # the picture
    nbformat.write(nb, learner)
    solutions = read(course / "solutions/00_toy.ipynb")
    solutions.cells[1].source = "total = 2"
    nbformat.write(solutions, course / "solutions/00_toy.ipynb")
    (course / "instructor/00_toy.ipynb").unlink()
    (course / "09_left_over.ipynb").write_bytes(learner.read_bytes())
    assert build.main(["00", "--notebooks", str(course), "--check"]) == 1
    told = capsys.readouterr().out.splitlines()
    assert [line for line in told if "cell 1 " in line and line.endswith("outputs differ.")]
    assert [line for line in told if "cell 5 " in line and line.endswith("outputs differ.")]
    assert [line for line in told if "solutions/00_toy.ipynb, cell 1 " in line and line.endswith("source differ.")]
    assert "instructor/00_toy.ipynb is missing: run `make build`." in told
    assert "09_left_over.ipynb has no source: delete it." in told
    assert len(told) == 5
    assert build.main(["00", "--notebooks", str(course), "--check", "--unrun"]) == 1
    unrun = capsys.readouterr().out.splitlines()
    assert unrun == [line for line in told if not line.endswith(" outputs differ.")]  # nbval sees what these are


def test_a_changed_source_is_seen_and_the_other_cells_keep_their_ids(built: Path, tmp_path: Path) -> None:
    course = toy_course(tmp_path / "notebooks")
    source = course / "src/00_toy.py"
    source.write_text(TOY.replace("total = 1 + 1", "total = 1 + 2"), encoding="utf-8")
    sources = editions.read_sources(course / "src")
    new = editions.edition_of(sources[0], "learner", sources)
    old = read(built / "00_toy.ipynb")
    assert [a.id == b.id for a, b in zip(new.cells, old.cells, strict=True)] == [True, False, True, True, True, True]
    assert "first at 'total = 1 + 2'" in build.differences(built / "00_toy.ipynb", new)[0]


def test_a_notebook_that_does_not_run_is_named_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    course = tmp_path / "notebooks"
    (course / "src").mkdir(parents=True)
    (course / "src/00_bad.py").write_text("# %% [markdown]\n# # Bad\n\n# %%\n1 / 0\n", encoding="utf-8")
    assert build.main(["--notebooks", str(course)]) == 1
    assert "00_bad does not run" in (told := capsys.readouterr().out) and "ZeroDivisionError" in told
    assert snapshot(course) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "has no cell"),
        ("# %%\n1\n", "has 0 titles"),
        ("# %% [markdown]\n# # One\n\n# %% [markdown]\n# # Two\n", "has 2 titles"),
        ('# %% [markdown]\n# # One\n\n# %% tags=["instructor"]\n1\n', "an instructor cell is markdown"),
    ],
)
def test_a_source_that_cannot_be_built_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "00_x.py").write_text(text, encoding="utf-8")
    with pytest.raises(editions.SourceError, match=message):
        editions.read_source(tmp_path / "00_x.py")


def test_marks_may_close_a_line_of_code_and_must_come_in_pairs() -> None:
    cell = "@cache_page(300)  # solution-begin\n@vary('X')  # solution-end\ndef f(): ..."
    assert editions.starter(cell) == "def f(): ..."
    assert editions.solved(cell) == "@cache_page(300)\n@vary('X')\ndef f(): ..."
    for broken in ("# solution-begin\nx", "x\n# solution-end"):
        with pytest.raises(editions.SourceError):
            editions.starter(broken)


def picture(pixels: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels.astype("uint8")).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_pictures_are_compared_by_what_they_show() -> None:
    plain = np.full((100, 100, 3), 200)
    softer, moved = plain.copy(), plain.copy()
    softer[:10] += 8  # an edge rounded differently
    moved[:10] = 0  # a bar that was not there
    assert build.same_picture(picture(plain), picture(softer))
    assert not build.same_picture(picture(plain), picture(moved))
    assert not build.same_picture(picture(plain), picture(plain[:50]))
