"""`mlp` on a share of the training events, one of two, three and so on: how a score grows with their number.

hepbench bench hepmass --model docs/mlp_share.py --budget standard --set share=0.25
"""

import dataclasses

from hepbench.benchmarks.models import mlp

MLP = mlp.MODELS["mlp"]


def fit(train, valid, parameters, **rest):
    from hepbench.suite.training.loop import fit_network

    parameters = dict(parameters)
    step = round(1 / parameters.pop("share"))
    fewer = dataclasses.replace(train, rows=train.rows[::step], labels=train.labels[::step])
    return fit_network(MLP.build, fewer, valid, parameters, **rest)


MODEL = dataclasses.replace(MLP, title="mlp on a share of the events", defaults={**MLP.defaults, "share": 1.0}, fit=fit)
