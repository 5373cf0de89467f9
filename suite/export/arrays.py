"""Models that are arrays of numbers as ONNX graphs: trees, a linear model, class frequencies.

All trees are one TreeEnsembleRegressor of ONNX, whose sums are those of the library but for rounding. A threshold in 64
bits is rounded down to 32: of inputs in 32 bits the same are below it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hepbench.benchmarks.base import Arrays, Fitted, Scaling, UserError
from hepbench.suite.export.graph import OPSET, SCORES, TREES_OPSET, elements_of, shape_of

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Forest:
    """Trees one after the other. All (n,) over their nodes: tree, which of the trees; feature and threshold of a split;
    left, right, places of its children within the tree, left where the feature is `below` ("BRANCH_LT", or
    "BRANCH_LEQ" the threshold); leaf; value of a leaf. output: (trees,) which of the outputs a tree adds to. base:
    (outputs,) what they add to. missing_left: where NaN goes left; None: nowhere."""

    tree: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    leaf: np.ndarray
    value: np.ndarray
    output: np.ndarray
    base: np.ndarray
    below: str
    missing_left: np.ndarray | None = None


def arrays_to_onnx(fitted: Fitted, inputs: Arrays, scaling: Scaling, classes: int) -> onnx.ModelProto:
    """A model that is no network. inputs: not scaled, table (n, V) and context (n, K) as far as there are such.
    UserError where there is no rule for its kind."""
    from onnx import helper

    kind = type(fitted)
    rule = _RULES.get(f"{kind.__module__.rpartition('.')[2]}.{kind.__qualname__}")
    if rule is None or not kind.__module__.startswith("hepbench.benchmarks.models."):
        known = sorted(name.partition(".")[0] for name in _RULES)
        raise UserError(f"a model of {kind.__qualname__} does not export: networks do, and {', '.join(known)}")
    graph = _Graph()
    given = [
        helper.make_tensor_value_info(name, elements_of(array.dtype), shape_of(name, array))
        for name, array in inputs.items()
    ]
    table = graph.table(inputs, scaling)
    scores = rule(graph, fitted, table, classes)
    graph.node("Identity", [scores], output=SCORES)
    told = helper.make_tensor_value_info(SCORES, elements_of(np.dtype("float32")), ["events", classes])
    made = helper.make_graph(graph.nodes, "scores", given, [told], graph.constants)
    versions = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", TREES_OPSET)]
    return helper.make_model(made, opset_imports=versions, ir_version=10)


class _Graph:
    """Nodes and constants as they are added, each under a name of its own."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, values: Any) -> str:
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str = "", domain: str = "", **attributes: Any) -> str:
        from onnx import helper

        output = output or f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], domain=domain, **attributes))
        return output

    def table(self, inputs: Arrays, scaling: Scaling) -> str:
        """The inputs scaled, side by side, as models of tables take them; for a model of no inputs the input that
        tells the number of events."""
        parts = []
        for name in [name for name in ("table", "context") if name in inputs] or list(inputs):
            part = self.node("Cast", [name], to=elements_of(np.dtype("float32")))
            if name in scaling:
                given, scale_of, *filling = scaling[name]
                if filling:
                    part = self.filled(part, *filling)
                shift, scale = (self.constant(values.astype(np.float32)) for values in (given, scale_of))
                part = self.node("Mul", [self.node("Sub", [part, shift]), scale])
            parts.append(part)
        return self.node("Concat", parts, axis=1) if len(parts) > 1 else parts[0]

    def filled(self, part: str, fill: np.ndarray, marked: np.ndarray) -> str:
        """As `base.filled`."""
        missing = self.node("IsNaN", [part])
        values = self.node("Where", [missing, self.constant(fill.astype(np.float32)), part])
        if not len(marked):
            return values
        chosen = self.node("Gather", [missing, self.constant(marked.astype(np.int64))], axis=1)
        marks = self.node("Cast", [chosen], to=elements_of(np.dtype("float32")))
        return self.node("Concat", [values, marks], axis=1)

    def probabilities(self, logits: str, outputs: int) -> str:
        """(n, 2) of (n, 1) log-odds, or (n, outputs)."""
        if outputs > 1:
            return self.node("Softmax", [logits], axis=1)
        signal = self.node("Sigmoid", [logits])
        return self.node("Concat", [self.node("Sub", [self.constant(np.float32(1)), signal]), signal], axis=1)

    def forest(self, table: str, forest: Forest) -> str:
        """(n, outputs) sums."""
        place = np.arange(len(forest.tree)) - np.searchsorted(forest.tree, forest.tree)
        leaf = forest.leaf
        modes = np.where(leaf, "LEAF", forest.below)
        missing = None if forest.missing_left is None else (~leaf & forest.missing_left).astype(int).tolist()
        return self.node(
            "TreeEnsembleRegressor",
            [table],
            domain="ai.onnx.ml",
            n_targets=len(forest.base),
            aggregate_function="SUM",
            base_values=forest.base.astype(np.float32).tolist(),
            nodes_treeids=forest.tree.tolist(),
            nodes_nodeids=place.tolist(),
            nodes_featureids=np.where(leaf, 0, forest.feature).tolist(),
            nodes_values=np.where(leaf, 0, forest.threshold).astype(np.float32).tolist(),
            nodes_modes=modes.tolist(),
            nodes_missing_value_tracks_true=missing,
            nodes_truenodeids=np.where(leaf, 0, forest.left).tolist(),
            nodes_falsenodeids=np.where(leaf, 0, forest.right).tolist(),
            target_treeids=forest.tree[leaf].tolist(),
            target_nodeids=place[leaf].tolist(),
            target_ids=forest.output[forest.tree[leaf]].tolist(),
            target_weights=forest.value[leaf].astype(np.float32).tolist(),
        )


def _rounded_down(threshold: np.ndarray) -> np.ndarray:
    """The largest 32-bit numbers that are no larger."""
    rounded = threshold.astype(np.float32)
    return np.where(rounded > threshold, np.nextafter(rounded, np.float32(-np.inf)), rounded)


def _xgboost(graph: _Graph, fitted: Any, table: str, classes: int) -> str:
    saved = json.loads(fitted.booster.save_raw("json"))["learner"]
    model, parameters = saved["gradient_booster"]["model"], saved["learner_model_param"]
    best = fitted.booster.num_boosted_rounds()
    trees = model["trees"][: model["iteration_indptr"][best]]
    sizes = [len(tree["left_children"]) for tree in trees]
    left, right, feature, value, missing_left = (
        np.concatenate([tree[name] for tree in trees])
        for name in ("left_children", "right_children", "split_indices", "split_conditions", "default_left")
    )
    outputs = max(1, int(parameters["num_class"]))
    base = np.atleast_1d(np.array(json.loads(parameters["base_score"]), np.float64))
    if outputs == 1:
        base = np.log(base / (1 - base))  # which is kept as a probability
    forest = Forest(
        tree=np.repeat(np.arange(len(trees)), sizes),
        feature=feature,
        threshold=value,
        left=left,
        right=right,
        leaf=left == -1,
        value=value,
        output=np.array(model["tree_info"][: len(trees)]),
        base=np.broadcast_to(base, (outputs,)),
        below="BRANCH_LT",
        missing_left=missing_left == 1,
    )
    return graph.probabilities(graph.forest(table, forest), outputs)


def _scikit_learn(graph: _Graph, fitted: Any, table: str, classes: int) -> str:
    nodes, sizes = fitted.nodes, fitted.lengths.ravel()
    forest = Forest(
        tree=np.repeat(np.arange(len(sizes)), sizes),
        feature=nodes["feature_idx"],
        threshold=_rounded_down(nodes["num_threshold"]),
        left=nodes["left"],
        right=nodes["right"],
        leaf=nodes["is_leaf"] == 1,
        value=nodes["value"],
        output=np.arange(len(sizes)) % fitted.lengths.shape[1],
        base=fitted.baseline,
        below="BRANCH_LEQ",
        missing_left=nodes["missing_go_to_left"] == 1,
    )
    known = graph.probabilities(graph.forest(table, forest), len(fitted.baseline))
    if len(fitted.known) == classes:
        return known
    places = np.zeros((len(fitted.known), classes), np.float32)
    places[np.arange(len(fitted.known)), fitted.known] = 1  # a class that no label was of has no score
    return graph.node("MatMul", [known, graph.constant(places)])


def _lightgbm(graph: _Graph, fitted: Any, table: str, classes: int) -> str:
    splits, trees = fitted.splits, len(fitted.splits)
    tree = np.repeat(np.arange(trees), 2 * splits + 1)
    place = np.arange(len(tree)) - np.searchsorted(tree, tree)
    leaf = place >= splits[tree]  # the leaves of a tree stand behind its splits
    of_splits = {}
    for name in ("feature", "threshold", "left", "right"):
        of_splits[name] = np.zeros(len(tree), getattr(fitted, name).dtype)
        of_splits[name][~leaf] = getattr(fitted, name)
    left, right = (np.where(one < 0, splits[tree] + ~one, one) for one in (of_splits["left"], of_splits["right"]))
    value = np.zeros(len(tree))
    value[leaf] = fitted.value
    forest = Forest(
        tree=tree,
        feature=of_splits["feature"],
        threshold=_rounded_down(of_splits["threshold"]),
        left=left,
        right=right,
        leaf=leaf,
        value=value,
        output=np.arange(trees) % fitted.outputs,
        base=np.zeros(fitted.outputs),
        below="BRANCH_LEQ",
    )
    return graph.probabilities(graph.forest(table, forest), fitted.outputs)


def _catboost(graph: _Graph, fitted: Any, table: str, classes: int) -> str:
    """Each of CatBoost's trees as one for each output, its nodes as in a heap: below node i are 2 i + 1 and 2 i + 2."""
    depths, outputs = fitted.depths, len(fitted.bias)
    first_split, first_value = (np.cumsum(sizes) - sizes for sizes in (depths, 2**depths * outputs))
    parts: dict[str, list[np.ndarray]] = {name: [] for name in ("feature", "threshold", "leaf", "value")}
    for depth, split, at in zip(depths, first_split, first_value, strict=True):
        place = np.arange(2 ** (depth + 1) - 1)
        level = np.floor(np.log2(place + 1)).astype(int)
        leaf = level == depth
        way = place - (2**level - 1)  # its highest bit is the side taken at the first split, and the leaf's lowest
        of_level = split + np.minimum(level, max(depth - 1, 0))
        number = sum(((way[leaf] >> (depth - 1 - bit)) & 1) << bit for bit in range(depth)) + 0 * way[leaf]
        values = fitted.value[at : at + 2**depth * outputs].reshape(-1, outputs)
        for output in range(outputs):
            value = np.zeros(len(place))
            value[leaf] = values[number, output]
            parts["value"].append(value)
            parts["leaf"].append(leaf)
            for name, array in (("feature", fitted.feature), ("threshold", fitted.border)):
                parts[name].append(array[of_level] if depth else np.zeros(1, array.dtype))
    sizes = [len(one) for one in parts["leaf"]]
    place = np.concatenate([np.arange(size) for size in sizes])
    forest = Forest(
        tree=np.repeat(np.arange(len(sizes)), sizes),
        left=2 * place + 1,
        right=2 * place + 2,
        output=np.arange(len(sizes)) % outputs,
        base=fitted.bias,
        below="BRANCH_LEQ",
        **{name: np.concatenate(arrays) for name, arrays in parts.items()},
    )
    return graph.probabilities(graph.forest(table, forest), outputs)


def _linear(graph: _Graph, fitted: Any, table: str, classes: int) -> str:
    largest = graph.constant(fitted.largest.astype(np.float32))
    least = graph.constant(-fitted.largest.astype(np.float32))
    cut = graph.node("Max", [graph.node("Min", [table, largest]), least])
    product = graph.node("MatMul", [cut, graph.constant(fitted.weights.astype(np.float32))])
    return graph.probabilities(
        graph.node("Add", [product, graph.constant(fitted.constant.astype(np.float32))]), classes
    )


def _frequencies(graph: _Graph, fitted: Any, table: str, classes: int) -> str:
    """The same for each event; of the table only the number of events is taken."""
    number = graph.node("Shape", [table], start=0, end=1)
    shape = graph.node("Concat", [number, graph.constant(np.ones(1, np.int64))], axis=0)
    return graph.node("Expand", [graph.constant(fitted.frequencies.astype(np.float32)[None]), shape])


_RULES: dict[str, Callable[[_Graph, Any, str, int], str]] = {
    "gbdt.Trees": _xgboost,
    "hist_gbdt.Trees": _scikit_learn,
    "lightgbm.Trees": _lightgbm,
    "catboost.Trees": _catboost,
    "logistic.Logistic": _linear,
    "prior.Prior": _frequencies,
}
"""File and class of a trained model of `benchmarks.models` -> what adds its probabilities to a graph and names them."""
