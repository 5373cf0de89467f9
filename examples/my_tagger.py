"""A residual dense network on a task's variables: a Keras network of your own.

hepbench bench magic --model examples/my_tagger.py --model gbdt
"""

from hepbench import Model


def build(shapes, classes, parameters):
    import keras
    from keras import layers

    table = keras.Input(shapes["table"], name="table")  # standardised on the training part
    x = layers.Dense(parameters["width"])(table)
    for _ in range(parameters["blocks"]):
        x = x + layers.Dense(parameters["width"], activation="gelu")(layers.LayerNormalization()(x))
    scores = layers.Dense(classes, activation="softmax")(x)
    return keras.Model({"table": table}, scores)


def space(trial):
    return {"width": trial.suggest_int("width", 32, 256, log=True), "blocks": trial.suggest_int("blocks", 1, 6)}


MODEL = Model(
    title="residual dense network",
    view="table",  # or "image", or "cloud"
    defaults={"width": 64, "blocks": 3, "epochs": 20, "batch_size": 128, "learning_rate": 1e-3},
    space=space,
    build=build,
)
