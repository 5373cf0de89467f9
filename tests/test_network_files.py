"""What is kept of a network for those who look at a run: its layers as a table and as a drawing; curves and counts."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from hepbench.benchmarks import metrics
from hepbench.benchmarks.scored import Scored
from hepbench.suite.training import layer_graph
from hepbench.suite.trial.artifacts import read_roc, write_confusion, write_roc
from hepbench.tracking import diagram
from hepbench.tracking.diagram import Box

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def branching():
    """Images and variables joined, with a connection over two layers."""
    import keras
    from keras import layers

    image, context = keras.Input((8, 8, 2), name="image"), keras.Input((3,), name="context")
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    y = layers.BatchNormalization()(x)
    x = layers.Add()([x, layers.Dropout(0.25)(y)])
    x = layers.GlobalAveragePooling2D()(layers.MaxPooling2D(2)(x))
    x = layers.Concatenate()([x, layers.Dense(5, activation="gelu")(context)])
    return keras.Model({"image": image, "context": context}, layers.Dense(1, activation="sigmoid")(x))


def test_layers_of_a_network_with_branches(branching):
    layers = layer_graph.layers_of(branching)
    by_kind = {layer.kind: layer for layer in layers}
    assert (by_kind["Conv2D"].settings, by_kind["Conv2D"].shape, by_kind["Conv2D"].parameters) == (
        "4, 3×3, relu",
        "(8, 8, 4)",
        76,
    )
    assert by_kind["MaxPooling2D"].settings == "2×2"
    assert {layers[place].kind for place in by_kind["Add"].before} == {"Conv2D", "Dropout"}
    assert {layers[place].kind for place in by_kind["Concatenate"].before} == {"GlobalAveragePooling2D", "Dense"}
    assert all(place < number for number, layer in enumerate(layers) for place in layer.before)
    assert sum(layer.parameters for layer in layers) == branching.count_params()
    text = layer_graph.layer_table(layers)
    assert f"{branching.count_params():,} parameters" in text
    assert all(layer.name in text for layer in layers)


def test_layers_of_a_network_in_a_row():
    import keras

    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(1, "sigmoid")])
    layers = layer_graph.layers_of(network)
    assert [layer.kind for layer in layers] == ["InputLayer", "Dense", "Dense"]
    assert [layer.before for layer in layers] == [(), (0,), (1,)]
    assert [layer.parameters for layer in layers] == [0, 15, 4]


def test_drawing_of_a_network(branching, tmp_path):
    weights = layer_graph.write_network(tmp_path, branching)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["network.svg", "network.txt"]
    assert sum(values.size for values in weights.values()) == sum(
        int(np.prod(weight.shape)) for weight in branching.trainable_weights
    )
    drawing = ElementTree.parse(tmp_path / "network.svg").getroot()
    texts = [text.text for text in drawing.iter(f"{SVG}text")]
    assert "Conv2D 4, 3×3, relu" in texts and "Dense 1, sigmoid" in texts and "image" in texts


def boxes_of(drawing):
    """(left, right, top) of each box of a drawing, in its order."""
    root = ElementTree.fromstring(drawing)
    boxes = [box for box in root.iter(f"{SVG}rect") if box.get("rx")]
    return np.array(
        [[float(box.get("x")), float(box.get("x")) + float(box.get("width")), float(box.get("y"))] for box in boxes]
    )


def test_boxes_stand_apart_and_below_what_they_take():
    rng = np.random.default_rng(0)
    graph = [Box("<input>", "(3)", "input", ())]
    for place in range(1, 60):
        before = rng.choice(place, size=min(place, 1 + place % 3), replace=False)
        graph.append(Box(f"layer {place}", "(3)", "layer", tuple(int(one) for one in before)))
    drawing = diagram.svg(graph)
    assert "&lt;input&gt;" in drawing and "<input>" not in drawing
    boxes = boxes_of(drawing)
    assert boxes[:, :2].min() >= 0
    for place, box in enumerate(graph):
        assert all(boxes[place, 2] > boxes[before, 2] for before in box.before)
    for top in np.unique(boxes[:, 2]):
        row = boxes[boxes[:, 2] == top]
        row = row[row[:, 0].argsort()]
        assert (row[1:, 0] - row[:-1, 1] > 1).all()


def test_a_box_is_drawn_for_every_layer_of_a_chain_in_one_column():
    chain = [Box("input", "(3)", "input", ())] + [Box("Dense 3", "(3)", "layer", (place,)) for place in range(8)]
    boxes = boxes_of(diagram.svg(chain))
    middle = boxes[:, :2].mean(axis=1)
    np.testing.assert_allclose(middle, middle[0], atol=0.1)
    assert re.search(r'height="\d+"', diagram.svg(chain))


def test_curves_are_read_as_they_were_written(tmp_path):
    rng = np.random.default_rng(0)
    for classes in (("h", "g"), ("a", "b, c", "d")):
        labels = rng.integers(0, len(classes), 400)
        curves = metrics.roc_curves(Scored(labels, rng.dirichlet(np.ones(len(classes)), 400)), 1, classes)
        write_roc(tmp_path / "roc.csv", curves)
        read = pd.read_csv(tmp_path / "roc.csv")
        own = dict(list(read.groupby("curve"))) if "curve" in read else {classes[1]: read}
        assert own.keys() == curves.keys() and len(read.columns) == (3 if len(classes) == 2 else 4)
        for name, curve in curves.items():
            for column, values in curve.items():
                np.testing.assert_allclose(own[name][column], values, rtol=1e-7)
                again = read_roc(tmp_path / "roc.csv")[name if len(classes) > 2 else ""]
                np.testing.assert_array_equal(again[column], own[name][column])


def test_a_confusion_matrix_is_read_as_it_was_written(tmp_path):
    confusion = np.arange(9).reshape(3, 3)
    write_confusion(tmp_path / "confusion.csv", confusion, ("a", "b, c", "d"))
    assert (tmp_path / "confusion.csv").read_text().splitlines()[:2] == ['true class,a,"b, c",d', "a,0,1,2"]
    np.testing.assert_array_equal(pd.read_csv(tmp_path / "confusion.csv", index_col=0), confusion)
