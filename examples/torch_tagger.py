"""A PyTorch network of your own: what `build` returns is trained, tested and ranked as the Keras networks are.

pip install torch
hepbench bench ecal --model examples/torch_tagger.py --model mlp
"""

from torch import nn

from hepbench import Model


class Tagger(nn.Module):
    def __init__(self, variables, width, classes):
        super().__init__()
        layers = [nn.Linear(variables, width), nn.BatchNorm1d(width), nn.GELU()]
        layers += [nn.Linear(width, width), nn.BatchNorm1d(width), nn.GELU(), nn.Dropout(0.1)]
        self.layers = nn.Sequential(*layers, nn.Linear(width, classes))

    def forward(self, table):  # (N, V), standardised on the training part
        return self.layers(table)  # (N, classes) logits


MODEL = Model(
    title="dense network in PyTorch",
    view="table",  # or "image", or "cloud"
    defaults={"width": 128, "epochs": 20, "batch_size": 128, "learning_rate": 1e-3},
    space=lambda trial: {"width": trial.suggest_int("width", 32, 512, log=True)},
    build=lambda shapes, classes, parameters: Tagger(*shapes["table"], parameters["width"], classes),
)
