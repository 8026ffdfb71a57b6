"""What becomes of the figures of a run: verdicts, tables, a picture."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import pytest

pytest.importorskip("rich")

from benchmarks import report
from benchmarks.plot import SERIES, plot
from benchmarks.spread import Spread, in_turn, number, typical
from benchmarks.targets import DELAYED, LOOPBACK, TARGETS, judge, shown

SVG = "{http://www.w3.org/2000/svg}"


def speed(**seconds: float) -> dict[str, Any]:
    """A row of the single operations: the same time in each of three rounds, beside one millisecond of plain Django."""
    return {
        name: {"seconds": [time] * 3, "ratio": [time / 0.002, time / 0.001, time / 0.0005], "statements": 0}
        for name, time in {"plain": 0.001, **seconds}.items()
    }


@pytest.fixture
def results() -> dict[str, Any]:
    """A small run: enough of each part for its table."""
    row = speed(cacheops=0.0015, cachalot=0.002, everfresh=0.0005, near=0.00005)
    outcome = {"throughput": [0.9, 2.0, 3.0], "hits": 0.8, "true_hits": 0.8, "stale": 0}
    lying = {**outcome, "true_hits": 0.7, "stale": 12}
    mix = {"cacheops": lying, "cachalot": lying, "everfresh": outcome, "near": outcome}
    rates = {name: {"per second": [10.0 * n, 11.0 * n], "ratio": [n, n, n]} for n, name in enumerate(SERIES, 1)}
    return {
        "versions": "Django 6.1",
        "machine": "a machine",
        "at": "2026-11-21T00:00:00",
        "length": "quick",
        "speed": {LOOPBACK: {"objects.get(pk)": row, "save()": row}, DELAYED: {"objects.get(pk)": row}},
        "pings, ms": {LOOPBACK: 0.02, DELAYED: 1.05},
        "mixes": {LOOPBACK: [{"writes": 0.05, "ideal": 0.82, "diverged": [], "contenders": mix}]},
        "growth": {"everfresh": [{"entries": 1000, "ratio": [1, 1, 1]}, {"entries": 100_000, "ratio": [1, 1.04, 2]}]},
        "page": {"continent": {"plain": {"per second": [5.0, 5.0], "ratio": [1, 1, 1]}, **rates}},
        "memory": {
            "everfresh": {
                "answers": 10,
                "entries": 10,
                "entry_bytes": 260.4,
                "beside": 5,
                "beside_bytes": 136.0,
                "used_bytes": 565.0,
            }
        },
    }


def test_verdicts_say_what_was_found_and_what_was_asked(results: dict[str, Any]) -> None:
    """Each target is reached, missed, or not measured, by the figures of the run."""
    verdicts = {(each["what"], each["contender"]): each for each in judge(results)}

    def verdict(what: str, contender: str = "everfresh") -> tuple[str, Any]:
        found = verdicts[what, contender]
        return shown(found), found["reached"]

    assert len(TARGETS) == len(verdicts)
    assert ("20x", True) == verdict("objects.get(pk): faster than plain", "near")
    assert ("2x", False) == verdict("objects.get(pk): faster than plain")
    assert ("3x", True) == verdict("objects.get(pk): faster than cacheops")
    assert ("20x", False) == verdict("objects.get(pk), links of 0.5 ms: faster than plain", "near")
    assert ("0.5x", True) == verdict("save(): time relative to plain")
    assert ("0.333x", True) == verdict("save(): time relative to cacheops")
    assert ("", None) == verdict("count(): faster than plain")
    assert ("97.6%", True) == verdict("mix, 5% writes: true hits of ideal")
    assert ("10 points", True) == verdict("mix, 5% writes: true hits above both peers' by")
    assert ("0", True) == verdict("mix, 5% writes: stale answers")
    assert ("2x", True) == verdict("mix, 5% writes: throughput relative to plain", "near")
    assert ("", None) == verdict("mix, 1% writes: stale answers")
    assert ("1.04x", True) == verdict("save() with 100,000 entries: time relative to none")
    assert ("8.4x", True) == verdict("page of the atlas: requests relative to plain", "near")
    assert ("1.5x", True) == verdict("page of the atlas: requests relative to the better peer")


def test_fewer_entries_than_asked_for_are_no_verdict(results: dict[str, Any]) -> None:
    """A cache that could not be filled in time says nothing of a full one."""
    results["growth"]["everfresh"][-1]["entries"] = 7000

    assert [None] == [each["reached"] for each in judge(results) if each["what"].startswith("save() with")]


def test_tables_have_the_figures(results: dict[str, Any]) -> None:
    """Each part that was run has its table, and each table the same number of cells in all rows."""
    results["targets"] = judge(results)
    text = report.figures(results)

    assert "| objects.get(pk) | 1.000 | 1.50 (0.75 to 3.00) | 2.00 (1.00 to 4.00) | 0.50 (0.25 to 1.00) |" in text
    assert "| 5% | ideal |  | 82.0% | 100% |  |" in text
    assert "|  | cacheops | 2.00 (0.90 to 3.00) | 70.0% | 85% | 12 |" in text
    assert "| continent | 5.0 |" in text
    assert "1.04 (1.00 to 2.00), 100,000" in text
    assert "| everfresh | 10 | 260 | 5 | 136 | 565 |" in text
    for table in text.split("\n\n"):
        if table.startswith("|"):
            assert 1 == len({line.count(" | ") for line in table.splitlines()})


def test_parts_that_were_not_run_have_no_table(results: dict[str, Any]) -> None:
    """A run of one part can be shown as well."""
    only = {key: results[key] for key in ("versions", "machine", "at", "length", "memory")}

    assert ["### Memory"] == [line for line in report.figures(only).splitlines() if line.startswith("#")]


def test_figures_replace_those_of_the_last_run() -> None:
    """What stands between the two marks is replaced, and nothing else; a page without marks is refused."""
    page = f"# Title\n\n{report.BEGIN}\nold\n{report.END}\n\nMore.\n"
    once = report.replaced(page, "new\n")

    assert f"# Title\n\n{report.BEGIN}\n\nnew\n\n{report.END}\n\nMore.\n" == once
    assert once == report.replaced(once, "new\n")
    with pytest.raises(ValueError, match="no place for figures"):
        report.replaced("# Title\n", "new\n")


def test_the_page_of_the_manual_has_a_place_for_figures() -> None:
    """`python -m benchmarks report` can write into the manual."""
    assert "\nnew\n" in report.replaced(report.PAGE.read_text(), "new\n")


def test_the_picture_has_a_mark_for_each_contender_and_operation(results: dict[str, Any]) -> None:
    """It is well-formed, and every mark and line lies within it."""
    root = ET.fromstring(report.picture(results))
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    marks = [*root.iter(f"{SVG}circle"), *root.iter(f"{SVG}polygon")]
    texts = [text.text for text in root.iter(f"{SVG}text")]

    assert len(SERIES) * (2 + 1) == len(marks)  # two operations, and the legend
    assert {"objects.get(pk)", "save()", "plain", "1/100", "10x", *SERIES} <= set(texts)
    for line in root.iter(f"{SVG}line"):
        assert all(0 <= float(line.attrib[name]) <= width for name in ("x1", "x2"))
        assert all(0 <= float(line.attrib[name]) <= height for name in ("y1", "y2"))


def test_the_axis_of_the_picture_is_logarithmic() -> None:
    """A tenth and ten lie as far from one, on its two sides."""
    root = ET.fromstring(plot({"a": {"everfresh": [0.1, 1, 10]}}, "A & B"))
    circle = [float(mark.attrib["cx"]) for mark in root.iter(f"{SVG}circle")][-1]
    low, high = [(float(line.attrib["x1"]), float(line.attrib["x2"])) for line in root.iter(f"{SVG}line")][-1]

    assert circle - low == pytest.approx(high - circle)


def test_spread_is_of_the_middle_half() -> None:
    """One round that somebody disturbed does not make the spread."""
    assert [2.0, 3.0, 4.0] == Spread.of([1, 2, 3, 4, 1000]).as_json()
    assert [7.0, 7.0, 7.0] == Spread.of([7]).as_json()
    assert 2.0 == typical([1, 2, 3, 4, 1000, 5, 6]) == typical([9, 2])
    assert ["123", "1.25", "0.025"] == [number(figure) for figure in (123.4, 1.25, 0.025)]


def test_each_round_another_contender_is_first() -> None:
    """Nobody is always first, and all come in each round."""
    rounds = [in_turn(number, "abc") for number in range(4)]

    assert ["abc", "bca", "cab", "abc"] == ["".join(each) for each in rounds]
