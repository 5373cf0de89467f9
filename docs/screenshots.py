"""The pictures of MLflow's page in docs/guides/mlflow.md, made by Chromium: python docs/screenshots.py [HOME]

Without HOME, a folder with runs, it makes some first; that takes minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from browser import Browser, Page, mlflow_pages  # noqa: E402

HEPBENCH = [sys.executable, "-m", "hepbench"]
PORT = 5799

RUNS = (
    ("bench", "ecal", "--budget", "smoke", "--seeds", "2"),
    ("tune", "ecal", "--model", "gbdt", "--budget", "smoke", "--trials", "4"),
)

READY = {
    "models, a table": "document.querySelectorAll('[role=row] a[href*=\"/runs/\"]').length > 5",
    "models, charts": "document.querySelectorAll('.js-plotly-plot .scatterlayer path').length > 5",
}

PICTURES = {
    "models, a table": (Path("docs/guides/mlflow-table.png"), 1800, 520),
    "models, charts": (Path("docs/guides/mlflow-charts.png"), 1600, 1150),
}


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        home = sys.argv[1] if len(sys.argv) > 1 else scratch
        environment = {**os.environ, "HEPBENCH_HOME": home, "PYTHONUNBUFFERED": "1"}
        if home == scratch:
            for arguments in RUNS:
                subprocess.run([*HEPBENCH, *arguments], cwd=ROOT, env=environment, check=True)
        with mlflow_pages(home, PORT) as addresses:
            take(addresses)


def take(of_views: dict[str, str]) -> None:
    with Browser() as browser:
        for name, (path, width, height) in PICTURES.items():
            page = browser.open(of_views[name], width, height)
            page.wait_for(READY[name], 120)
            shrink(settled(page, ROOT / path))
            print(path, f"{(ROOT / path).stat().st_size / 1000:.0f} kB")


def settled(page: Page, path: Path) -> Path:
    """A picture once nothing moves any more."""
    before = b""
    for _ in range(20):
        time.sleep(3)
        if page.screenshot(path).read_bytes() == before:
            break
        before = path.read_bytes()
    return path


def shrink(path: Path) -> None:
    """To 64 colours, which such a page needs no more of."""
    from PIL import Image

    with Image.open(path) as picture:
        picture.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
