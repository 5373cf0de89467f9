"""The AUC of every entry on every task, as Markdown, from the results kept beside this file.

.venv/bin/python docs/results_table.py
"""

from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
COLUMNS = ["model", "task", "set", "budget", "seeds", "auc", "auc_error"]

rows = pd.concat(
    pd.read_csv(HERE / name, usecols=COLUMNS, keep_default_na=False) for name in ("results.csv", "results_quick.csv")
)
features = rows["set"].str.startswith("features=")  # of the events, other settings of the model
rows["task"] += rows["set"].where(features, "").str.replace("features=", ", ")
rows["model"] += (" " + rows["set"]).where(~features & (rows["set"] != ""), "")
rows["cell"] = [
    f"{row.auc:.4f} ± {row.auc_error:.4f}" + (f" ({row.seeds})" if row.seeds != 3 else "") for row in rows.itertuples()
]
for budget in ("standard", "quick"):
    table = rows[rows["budget"] == budget].pivot(index="model", columns="task", values="cell").fillna("–")
    print(f"| {budget} | " + " | ".join(table.columns) + " |\n|" + "---|" * (len(table.columns) + 1))
    for model, cells in table.iterrows():
        print(f"| `{model}` | " + " | ".join(cells) + " |")
    print()
