"""Z boson or Drell-Yan continuum, from two leptons: CSV files of pt1, pt2, delta_eta, delta_phi, label.

hepbench bench examples/my_task.py --model gbdt --model mlp
"""

import numpy as np

from hepbench import Events, Simulation, Task, UserError

VARIABLES = ("pt1", "pt2", "delta_eta", "delta_phi")
CHUNK = 1000


def read(paths):
    for number, path in enumerate(paths):
        rows = np.loadtxt(path, delimiter=",", skiprows=1, dtype=np.float32, ndmin=2)
        if rows.shape[1] != 5:
            raise UserError(f"{path}: expected 5 columns, got {rows.shape[1]}")
        yield Events({"table": rows[:, :4]}, rows[:, 4].astype(int), number * 10**9 + np.arange(len(rows)))


def generate(label, number, seed):
    """Breit-Wigner of the Z against 1/m^3 above 60 GeV, both 1 + cos^2, leptons smeared by 2 %."""
    rng = np.random.default_rng([seed, label, number])
    mass = np.abs(91.19 + 1.25 * rng.standard_cauchy(CHUNK)) if label else 60 / np.sqrt(1 - rng.random(CHUNK))
    z = rng.uniform(-2, 2, CHUNK)  # cos(theta) by the inverse of its cumulative distribution
    cosine = np.cbrt(z + np.sqrt(z**2 + 1)) + np.cbrt(z - np.sqrt(z**2 + 1))
    pt = mass / 2 * np.sqrt(1 - cosine**2) * rng.normal(1, 0.02, (2, CHUNK))
    delta_eta, delta_phi = 2 * np.arctanh(cosine) + rng.normal(0, 0.01, CHUNK), rng.normal(np.pi, 0.01, CHUNK)
    return {"rows": np.column_stack([*pt, delta_eta, delta_phi, np.full(CHUNK, label)])}


def write(folder, counts, chunks):
    rows = np.concatenate([arrays["rows"] for _, arrays in chunks])
    np.savetxt(folder / "dileptons.csv", rows, delimiter=",", header=",".join([*VARIABLES, "label"]))
    return [folder / "dileptons.csv"]


TASK = Task(title="Z or continuum", classes=("continuum", "Z"), read=read, views={"table": lambda arrays: arrays},
            variables=VARIABLES, simulation=Simulation(CHUNK, generate, write), size=100_000)  # fmt: skip
