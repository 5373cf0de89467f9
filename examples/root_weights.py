"""Events of a ROOT file, each with a weight; -999 where a jet was not there to be measured.

hepbench bench examples/root_weights.py --model gbdt --model mlp    # data/root_weights/official/events.root
"""

import numpy as np

from hepbench import Events, Source, Task, columns

VARIABLES = ("lepton_pt", "missing_et", "jet_pt")


def read(paths):
    for ids, chunk in columns(paths, (*VARIABLES, "label", "weight")):
        table = np.column_stack([chunk[name] for name in VARIABLES])
        yield Events({"table": table}, chunk["label"], ids, chunk["weight"])


TASK = Task(
    title="signal or background", classes=("background", "signal"), variables=VARIABLES, read=read,
    views={"table": lambda arrays: arrays}, missing={"table": -999}, weights="both",
    sources=(Source("events.root", url=""),),  # fetched by hand
)  # fmt: skip
