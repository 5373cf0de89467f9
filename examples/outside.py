"""A classifier that knows nothing of hepbench, trained on exported events and ranked by its scores:

hepbench events magic --split train --labels --out train.h5
hepbench events magic --out test.h5
python examples/outside.py train.h5 test.h5 scores.parquet          # or with a fourth word: torch
hepbench score magic scores.parquet --name extra_trees --train-events 13314
"""

import sys

import h5py
import pandas as pd


def trees(x, labels, test):
    from sklearn.ensemble import ExtraTreesClassifier

    return ExtraTreesClassifier(300, min_samples_leaf=2, random_state=0).fit(x, labels).predict_proba(test)


def torch(x, labels, test, epochs=20):
    import torch
    from torch import nn

    torch.manual_seed(0)
    mean, spread = x.mean(axis=0), x.std(axis=0)
    x, test = (torch.tensor((some - mean) / spread) for some in (x, test))
    labels = torch.tensor(labels)
    network = nn.Sequential(nn.Linear(x.shape[1], 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(128):
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(x[batch]), labels[batch]).backward()
            optimiser.step()
    with torch.no_grad():
        return torch.log_softmax(network(test).double(), dim=1).numpy()  # logarithms: none rounds to 1


def main(train, test, out, how="trees"):
    with h5py.File(train) as file:
        x, labels = file["inputs/table"][:], file["label"][:]
    with h5py.File(test) as file:
        scores = {"trees": trees, "torch": torch}[how](x, labels, file["inputs/table"][:])
        columns = {f"score_{name}": scores[:, place] for place, name in enumerate(file.attrs["classes"])}
        frame = pd.DataFrame({"id": file["id"][:], "events": file.attrs["events"], **columns})
    frame.to_parquet(out)  # a row for each event, with the text that says which events they are


if __name__ == "__main__":
    main(*sys.argv[1:])
