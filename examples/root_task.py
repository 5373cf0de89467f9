"""Jets of one prong or two in ROOT files: a TTree whose branches hold a number for each particle of a jet.

Put the file where a bench looks for it, then:

    mkdir -p data/root_task/official && cp jets.root data/root_task/official/
    hepbench bench examples/root_task.py --model gbdt --model gnn
"""

import numpy as np

from hepbench import Events, Source, Task, columns

PARTICLES = 20  # kept of a jet, in the order of the file; zeros follow


def read(paths):
    for ids, chunk in columns(paths, ("pt", "eta", "phi", "label"), tree="jets", padded=PARTICLES):
        yield Events({name: chunk[name] for name in ("pt", "eta", "phi")}, chunk["label"], ids)


def table(arrays):
    pt, radius = arrays["pt"], np.hypot(arrays["eta"], arrays["phi"])
    total = pt.sum(axis=1)
    return {"table": np.column_stack([total, (pt > 0).sum(axis=1), (pt * radius).sum(axis=1) / total])}


def cloud(arrays):
    pt, points = arrays["pt"], np.stack([arrays["eta"], arrays["phi"]], axis=-1)
    mask = pt > 0
    log_pt = np.log(pt, where=mask, out=np.zeros_like(pt))
    features = np.concatenate([log_pt[..., None], points], axis=-1)
    return {"points": points, "features": features, "mask": mask, "log_pt": log_pt}


TASK = Task(
    title="one prong or two",
    classes=("one", "two"),
    read=read,
    views={"table": table, "cloud": cloud},
    variables=("pt", "particles", "width"),
    sources=(Source("jets.root", url=""),),  # fetched by hand
)
