"""Every behaviour of the old libraries has a test, or a reason why it has none."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.seeds.ids import IDS, NOT_BUILT

TESTS = Path(__file__).parent.parent


def marked(path: Path) -> Iterator[str]:
    """The ids in the ``seeds`` markers of a file, read from its text: it need not run here."""
    text = path.read_text()
    if ".seeds(" not in text:
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.seeds":
            yield from (str(ast.literal_eval(argument)) for argument in node.args)


COVERED = frozenset(each for path in TESTS.rglob("test_*.py") for each in marked(path))


def test_every_id_has_a_test() -> None:
    """Each is named by the marker of a test, or listed with a reason."""
    missing = IDS - COVERED - NOT_BUILT.keys()

    assert sorted(missing) == []


def test_lists_are_true() -> None:
    """What has a test is on no list, and markers and lists name no id that there is not."""
    listed = NOT_BUILT.keys()

    assert sorted(listed & COVERED) == []
    assert sorted(listed - IDS) == []
    assert sorted(each for each in COVERED - IDS if each.partition("-")[0] in {"CM", "CB", "OC", "CS", "CE"}) == []


def test_a_marker_must_be_spelled_out(tmp_path: Path) -> None:
    """As the reader of markers sees them: several ids, in parameters too."""
    path = tmp_path / "test_x.py"
    path.write_text('import pytest\nx = pytest.param(1, marks=pytest.mark.seeds("A-1", "A-2"))\n')

    assert list(marked(path)) == ["A-1", "A-2"]
