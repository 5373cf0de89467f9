"""The AUC of every entry on every task, as one table in Markdown, from the results kept beside this file.

.venv/bin/python docs/results_table.py
"""

from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
BUDGETS = ("standard", "quick")
KEPT = [HERE / "results.csv", HERE / "results_quick.csv"]

rows = pd.concat(pd.read_csv(path, keep_default_na=False, na_values={"auc": "", "auc_error": ""}) for path in KEPT)
rows = rows[rows["budget"].isin(BUDGETS)]


def cell(row: pd.Series) -> str:
    """Digits down to the first of the error, and the number of seeds where it is not three."""
    text = f"{row.auc:.4f} ± {row.auc_error:.4f}"
    return text if row.seeds == 3 else f"{text} ({row.seeds})"


for budget in BUDGETS:
    here = rows[rows["budget"] == budget].copy()
    here["column"] = here["task"] + here["set"].map(lambda text: f", {text.split('=')[1]}" if text else "")
    here["cell"] = [cell(row) for row in here.itertuples()]
    table = here.pivot(index="model", columns="column", values="cell").fillna("–")
    print(f"\n| {budget} | " + " | ".join(table.columns) + " |\n|" + "---|" * (len(table.columns) + 1))
    for model, cells in table.iterrows():
        print(f"| `{model}` | " + " | ".join(cells) + " |")
