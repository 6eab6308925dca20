"""Results as small files and as tables of README and docs: both hold what was measured, and no page is behind."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import nbformat
import published
import pytest
from nbclient import NotebookClient
from support.running import ENVIRONMENT, ROOT

from plus.errors import EvidenceError

WITH = {"mean": 0.75, "low": 0.7, "high": 0.8, "users": 40, "targets": 80}


def results_table():
    spec = importlib.util.spec_from_file_location("results_table", ROOT / "scripts" / "results_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write(folder, name: str, value) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(value))


@pytest.fixture
def people(tmp_path):
    row = {"all": [0.8, 0.75, 0.85, 30, 90], "controversial": [0.62345678, None, None, 1, 9]}
    row |= {"per_user": 0.8, "workers": [0.71, 0.7, 0.72, 5]}
    rows = {"majority": row, "in_context": row, "in_context, shuffled": row, "vpl, odd": row}
    difference = {"in_context - bradley_terry": {"controversial": [0.0251, 0.01, 0.04, 30, 90]}}
    missing = {f"oracle, x/new users/{n}, seed 0": "nobody knows" for n in range(3)}
    report = {
        "dataset": "polis/scoop-hivemind.taxes", "folder": "somewhere/private", "notes": ["3 seeds"],
        "groups": {"new users": {"rows": rows, "differences": difference}}, "missing": missing,
    }  # fmt: skip
    write(tmp_path, "report.json", report)
    return tmp_path


def card(**more) -> dict:
    calibration = {"ece": 0.01, "if_perfect": 0.01, "reliability": [{"confidence": 0.9, "right": 0.9, "targets": 80}]}
    measures = {"accuracy": WITH, "shuffled": {**WITH, "mean": 0.5}, "by_seed": {"0": 0.75}, "calibration": calibration}
    return {**measures, "targets": 80, "users": 40, "seeds": 1, **more}


@pytest.fixture
def evidence(tmp_path):
    curve = {"plus": {"1": WITH, "3": WITH}}
    report = {
        "best_possible": 0.84, "differences": {"plus - vpl": WITH, "plus - constant": WITH}, "learning_curve": curve,
        "missing": {"oracle": "nobody knows"}, "methods": {"plus": card(), "vpl": card(shuffled=None)},
    }  # fmt: skip
    write(tmp_path, "pets/report.json", report)
    write(tmp_path, "evidence.json", {"promises": [], "cpu_seconds": {"together": 120.0}})
    findings = [{"control": "label flip", "ok": False, "sentence": "few turn"}]
    audit = {"verdict": "it matters", "findings": findings, "not_run": {"null run": "no"}, "measures": {}}
    write(tmp_path, "audits/pets/report.json", audit)
    write(tmp_path, "pets/runs/pets-0/metrics.jsonl", {"step": 1, "summary_gain": 0.1, "summary_length": 7, "loss": 1})
    return tmp_path


def test_real_people_are_kept_with_their_goals_and_without_where_they_lay(people):
    result = published.condensed([people])
    assert "private" not in json.dumps(result)
    text = published.tables(result)
    assert "| majority | 0.800 [0.750, 0.850] | 0.623 | - |" in text
    assert "| in_context | 0.800 [0.750, 0.850] | 0.623 | 0.800 / 0.623 |" in text
    missed = "at least +0.03 | +0.025 [+0.010, +0.040] | **missed** by 0.005 |"
    assert f"| in_context - bradley_terry | new users, controversial | {missed}" in text
    assert "- new users, all: 30 users, 90 predictions over folds and seeds" in text
    assert "| oracle | - (see below) |" in text
    assert "- not computed: oracle, 3 cells: nobody knows" in text
    assert "vpl, odd" not in text
    assert "vpl, odd" in published.tables(result, brief=False), "the notebook shows every row"
    (drawn,) = published.intervals(result).items()
    assert drawn[0].endswith("new users, controversial")
    in_context = drawn[1]["in_context"]
    assert in_context.mean == pytest.approx(0.6234568) and in_context.low != in_context.low


def test_the_published_lines_stand_beside_ukpconvarg1(people):
    report = json.loads((people / "report.json").read_text())
    report |= {"dataset": "ukpconvarg1", "groups": {"new prompts": report["groups"]["new users"]}}
    write(people, "report.json", report)
    text = published.tables(published.condensed([people]))
    assert "| published: crowdGPPL | 0.72 | 0.74 |" in text
    assert "| in_context | 0.710 [0.700, 0.720] | - |" in text


def test_synthetic_evidence_keeps_what_is_shown_and_drawn(evidence):
    result = published.condensed([evidence])
    text = published.tables(result)
    assert "| plus | 0.750 [0.700, 0.800] (0.500) |" in text and "| best possible | 0.840 |" in text
    assert "| pets: plus | 0.95 to 1 | 0.750 | **MISSED** |" in text
    assert "| pets | plus - vpl | +0.750 [+0.700, +0.800] | 40 | 80 |" in text
    assert "plus - constant" not in text
    assert "Audit of pets, seed 0, read by seed 1: it matters" in text
    assert "- **FAILS** label flip: few turn\n- null run: not run, no" in text
    assert "2 minutes" in text and "- not computed: pets, oracle: nobody knows" in text
    assert result["training"]["pets"] == [{"step": 1, "summary_gain": 0.1, "summary_length": 7}]
    assert published.intervals(result)["pets"]["vpl"].targets == 80


def test_an_ablation_keeps_means_over_seeds(tmp_path):
    cells = [{"shuffled": 0.4, "updates": 7}, {"shuffled": 0.6, "updates": None}]
    report = {"title": "Ablation: pets", "reference": "plus", "methods": {"plus": card(), "G = 2": card(minus=WITH)}}
    report["measured"] = {"plus": cells, "G = 2": cells}
    write(tmp_path, "report.json", report)
    text = published.tables(published.condensed([tmp_path]))
    assert "| G = 2 | 0.750 [0.700, 0.800] | +0.750 [+0.700, +0.800] | 0.500 | 7, never |" in text
    assert "- 1 seeds, 80 choices of 40 users" in text


def test_what_is_no_result_is_refused(tmp_path):
    with pytest.raises(EvidenceError, match=r"there is no .*report\.json; give the folder of a finished benchmark"):
        published.condensed([tmp_path])
    write(tmp_path, "report.json", {"accuracy": {}})
    with pytest.raises(EvidenceError, match="is no benchmark of real people, no ablation and no evidence"):
        published.condensed([tmp_path])


def test_files_are_compact_and_the_same_values(people):
    result = published.condensed([people])
    text = published.compact(result)
    assert json.loads(text) == result
    assert '"all": [ 0.8, 0.75, 0.85, 30, 90 ]' in text


def test_the_pages_say_what_the_files_hold():
    """A planted fault: with another number in a file a page would be behind, and this sees it."""
    script, names = results_table(), set()
    for page in script.PAGES:
        text = page.read_text(encoding="utf-8")
        assert script.rewritten(text, script.FOLDER) == text, "run scripts/results_table.py"
        names |= {found[2] for found in script.MARKS.finditer(text)}
    assert {path.stem for path in script.FOLDER.glob("*.json")} | {"first"} == names


def test_the_first_table_has_the_hardest_slice_of_the_first_group(people):
    result = published.condensed([people])
    rows = result["groups"]["new users"]["rows"]
    for number, name in enumerate(published.FIRST.values()):
        rows[name] = {"all": [0.1, 0, 1, 3, 9], "controversial": [number / 10, 0, 1, 3, 9]}
    *_, row = published.first_table([result]).splitlines()
    assert [cell.strip() for cell in row.split("|")[2:-1]] == ["0.000", "0.100", "0.200", "0.300", "0.400", "0.500"]


def test_a_changed_file_changes_its_table_alone(people, tmp_path):
    script = results_table()
    write(tmp_path, "taxes.json", published.condensed([people]))
    other = "b\n<!-- results: other -->\nkept\n<!-- end of results -->\n"
    text = f"a\n<!-- results: taxes -->\nstale\n<!-- end of results -->\n{other}"
    made = script.rewritten(text, tmp_path)
    assert "stale" not in made and "| majority |" in made
    assert made.startswith("a\n<!-- results: taxes -->\n\n**polis") and made.endswith(other)
    assert script.rewritten(made, tmp_path) == made


def test_it_needs_no_torch():
    code = "import sys, published, plus.evaluate.figures; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "scripts", env=ENVIRONMENT, timeout=200)
    assert done.returncode == 0


@pytest.mark.slow
def test_the_notebook_draws_every_kind_of_result(evidence, tmp_path, monkeypatch):
    """The shipped files and those of this test, so that no cell is idle."""
    paths = os.pathsep.join([ENVIRONMENT["PYTHONPATH"], str(ROOT / "scripts")])
    for name, value in {**ENVIRONMENT, "PYTHONPATH": paths}.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "notebook" / "results"
    folder.mkdir(parents=True)
    for path in (ROOT / "notebooks" / "results").glob("*.json"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "tiny-evidence.json").write_text(published.compact(published.condensed([evidence])))
    notebook = nbformat.read(ROOT / "notebooks" / "02_results.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "kept without output, which would go stale"
    NotebookClient(notebook, timeout=800, resources={"metadata": {"path": str(folder.parent)}}).execute()
    data = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = "".join(part.get("text/markdown", "") for part in data)
    for path in folder.glob("*.json"):
        result = json.loads(path.read_text())
        assert published.tables(result, brief=result["kind"] in ("demo", "ablation")) in shown, path.stem
    assert sum("image/png" in part for part in data) >= 5
