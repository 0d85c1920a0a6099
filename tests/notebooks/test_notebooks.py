"""Every notebook runs from top to bottom on a small stored database."""

import re
from pathlib import Path

import pytest

nbclient = pytest.importorskip("nbclient", reason="needs the extra notebooks")
nbformat = pytest.importorskip("nbformat", reason="needs the extra notebooks")

ROOT = Path(__file__).parents[2]
SLOW = {"planning", "chinchilla"}
"""Take 10 s: each run of a database is hidden in turn, or ten allocations are made."""
CHINCHILLA = ROOT.parent / "shared" / "data" / "chinchilla_epoch" / "svg_extracted_data.csv"
"""A public table without a licence, which is not part of the checkout."""
NOTEBOOKS = [
    pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path.stem in SLOW else [])
    for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
]


@pytest.mark.parametrize("path", NOTEBOOKS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_the_notebook_runs(path, quickstart_db, tmp_path, monkeypatch):
    monkeypatch.setenv("SOUNDSCALE_DB", f"sqlite:///{quickstart_db}")
    if path.stem == "chinchilla" and not CHINCHILLA.exists():
        pytest.skip(f"public data {CHINCHILLA.name} is not beside the checkout")
    monkeypatch.setenv("CHINCHILLA_CSV", str(CHINCHILLA))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    drawn = [
        (c.source, o.data["image/svg+xml"])
        for c in notebook.cells
        for o in c.get("outputs", [])
        if "image/svg+xml" in o.get("data", {})
    ]
    for source, svg in drawn:
        title = re.search(r'figures\.titled\(.*?"([^"]+)",\s+"[^"]+\."\)', source, re.DOTALL)
        assert title, source
        assert title[1] in svg
    errors = [o for c in notebook.cells for o in c.get("outputs", []) if o.output_type == "error"]
    assert errors == []
