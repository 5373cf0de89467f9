"""docs/onnx.csv: every entry as an ONNX file, on a task that it is for: python docs/onnx_table.py [SECONDS] [HOME]

Trains each entry with the budget `smoke` in HOME, a folder with runs that may be there already; without it in one that
is removed. Times every form of it for SECONDS, 2 where none are given; 0: agreement and 8 bits alone, for a machine
that is busy. `make tables` draws the page's tables of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
OUT = ROOT / "docs" / "onnx.csv"
HEPBENCH = [sys.executable, "-m", "hepbench"]

ENTRIES = {
    "ecal": "cnn cnn_ecal_study cnn_resnet gnn",
    "qg_jets": "particlenet particlenet_static particlenet_lite particlenet_lite_static particlenet_lite_study pfn "
    "part part_lite lorentz_transformer gbdt hist_gbdt lightgbm catboost logistic prior mlp mlp_resnet tabm",
    "qg_images": "cnn_jet cnn_jet_study",
    "pxd_pixels": "cnn_9x9 cnn_pxd_study mlp_pxd mlp_pxd_study",
    "pxd_clusters": "mlp_pxd6 mlp_pxd_study_six mlp_pxd_study_six_appendix gbdt lightgbm catboost",
    "hepmass": "mlp_hepmass mlp_hepmass_study mlp_parametrised",
    "lund_jets": "particlenet_lite optimum",
}
"""Packed clouds, images, tables, two classes and several."""


def main() -> None:
    seconds = sys.argv[1] if len(sys.argv) > 1 else "2"
    with tempfile.TemporaryDirectory() as scratch:
        environment = {**os.environ, "HEPBENCH_HOME": sys.argv[2] if len(sys.argv) > 2 else scratch}
        told: list[str] = []
        for task, models in ENTRIES.items():
            chosen = ["--model", models.replace(" ", ",")]
            subprocess.run(
                [*HEPBENCH, "bench", task, "--budget", "smoke", *chosen], cwd=ROOT, env=environment, check=True
            )
            asked = ["measure", "onnx", "--task", task, *chosen, "--format", "csv", "--seconds", seconds]
            done = subprocess.run(
                [*HEPBENCH, *asked], cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True
            )
            told += done.stdout.splitlines(keepends=True)[bool(told) :]
    OUT.write_text("".join(told))
    print(f"{OUT.relative_to(ROOT)}: {len(told) - 1} rows; now make tables")


if __name__ == "__main__":
    main()
