"""An ONNX graph straight from a genome: in milliseconds, without torch.

The search times this graph and nas/deploy/export.py ships it, so a measured frame rate is that of
the model the user gets. Batch norm is folded into the convolution or linear layer before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from nas.arch import layers
from nas.arch.genome import Genome
from nas.arch.layers import Layer, Unit
from nas.arch.lowering import check_size, lower

OPSET = 20
IR_VERSION = 10
BN_EPS = 1e-5
# All that a graph is made of; a reader of model files refuses others (deploy/limits.py).
OPERATORS = frozenset((
    "Add", "AveragePool", "Concat", "Conv", "Elu", "Flatten", "Gelu", "Gemm", "GlobalAveragePool",
    "GlobalMaxPool", "HardSwish", "LeakyRelu", "MaxPool", "Mul", "ReduceMean", "Relu", "Resize",
    "Sigmoid", "Slice", "Transpose",
))  # fmt: skip
Floats = npt.NDArray[np.float32]
Weights = Mapping[str, Floats]
Affine = layers.Conv2d | layers.Linear


def to_onnx(
    genome: Genome, weights: Weights | None = None, metadata: Mapping[str, str] | None = None
) -> onnx.ModelProto:
    """The genome's model: input `image` float32 (N, C, H, W), output `logits` (N, classes).

    weights: arrays under the names of the torch `state_dict`; None draws small random ones, which
    is all that timing needs.
    """
    check_size(genome)
    graph = _Graph(weights)
    out = "image"
    for unit in lower(genome):
        out = graph.unit(unit, out)
    graph.nodes[-1].output[0] = "logits"
    tensor = helper.make_tensor_value_info
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            genome.id,
            [tensor("image", TensorProto.FLOAT, ["N", *genome.input.shape])],
            [tensor("logits", TensorProto.FLOAT, ["N", genome.num_classes])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="fer-nas",
        ir_version=IR_VERSION,
    )
    helper.set_model_props(model, dict(metadata or {}))
    onnx.checker.check_model(model)
    return model


class _Graph:
    def __init__(self, weights: Weights | None) -> None:
        self.weights = weights
        self.rng = np.random.default_rng(0)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def unit(self, unit: Unit, x: str) -> str:
        main = self.chain(unit.name, unit.main, x)
        if unit.skip is not None:
            skip = self.chain(unit.name, unit.skip, x)
            main = self.node("Add", [main, skip])
        return self.chain(unit.name, unit.post, main)

    def chain(self, prefix: str, path: tuple[Layer, ...], x: str) -> str:
        for before, layer, after in zip((None, *path), path, (*path[1:], None), strict=False):
            if isinstance(layer, Affine):
                norm = after if isinstance(after, layers.BatchNorm) else None
                x = self.affine(prefix, layer, norm, x)
            elif not (isinstance(layer, layers.BatchNorm) and isinstance(before, Affine)):
                x = self.layer(f"{prefix}.{layer.name}", layer, x)
        return x

    def layer(self, name: str, layer: Layer, x: str) -> str:
        match layer:
            case layers.BatchNorm():
                scale, shift = self.norm(name, layer.in_shape[0])
                shape = (-1, 1, 1)
                x = self.node("Mul", [x, self.constant(scale.reshape(shape))])
                return self.node("Add", [x, self.constant(shift.reshape(shape))])
            case layers.Activation():
                return self.activation(layer.function, x)
            case layers.Pool2d():
                return self.pool(layer, x)
            case layers.GlobalPool():
                kind = "Average" if layer.type == "avg" else "Max"
                return self.node(f"Global{kind}Pool", [x])
            case layers.SqueezeExcite():
                return self.squeeze_excite(name, layer, x)
            case layers.EfficientChannelAttention():
                return self.channel_attention(name, layer, x)
            case layers.CoordinateAttention():
                return self.coordinate_attention(name, layer, x)
            case layers.Slice():
                return self.slice(x, layer.first, layer.first + layer.channels, axis=1)
            case layers.Concat():
                outputs = [
                    self.chain(f"{name}.{i}", branch, x) for i, branch in enumerate(layer.branches)
                ]
                return self.node("Concat", outputs, axis=1)
            case layers.Flatten():
                return self.node("Flatten", [x], axis=1)
            case layers.Dropout():
                return x
            case layers.Resize():
                sizes = self.constant(np.array([layer.side] * 2, dtype=np.int64))
                return self.node(
                    "Resize", [x, "", "", sizes], axes=[2, 3],
                    mode="linear", coordinate_transformation_mode="half_pixel",
                )  # fmt: skip
        raise AssertionError(layer)

    def affine(self, prefix: str, layer: Affine, norm: layers.BatchNorm | None, x: str) -> str:
        """A convolution or a linear layer, with the norm behind it folded in."""
        name = f"{prefix}.{layer.name}"
        if isinstance(layer, layers.Conv2d):
            shape: tuple[int, ...] = (
                layer.channels, layer.in_shape[0] // layer.groups, layer.kernel, layer.kernel,
            )  # fmt: skip
        else:
            shape = (layer.features, int(np.prod(layer.in_shape)))
        weight = self.weight(f"{name}.weight", shape)
        bias = np.zeros(shape[0], np.float32)
        if isinstance(layer, layers.Linear) or layer.bias:
            bias = self.weight(f"{name}.bias", shape[:1])
        if norm is not None:
            scale, shift = self.norm(f"{prefix}.{norm.name}", shape[0])
            weight = weight * scale.reshape(-1, *[1] * (len(shape) - 1))
            bias = bias * scale + shift
        inputs = [x, self.constant(weight), self.constant(bias)]
        if isinstance(layer, layers.Linear):
            return self.node("Gemm", inputs, transB=1)
        return self.node(
            "Conv", inputs, kernel_shape=[layer.kernel] * 2, strides=[layer.stride] * 2,
            pads=[layer.padding] * 4, group=layer.groups,
        )  # fmt: skip

    def norm(self, name: str, channels: int) -> tuple[Floats, Floats]:
        """Batch norm in evaluation mode as (scale, shift)."""
        if self.weights is None:
            return np.ones(channels, np.float32), np.zeros(channels, np.float32)
        gamma, beta, mean, var = (
            self.weight(f"{name}.{part}", (channels,))
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / np.sqrt(var + np.float32(BN_EPS))
        return scale, beta - mean * scale

    def activation(self, function: str, x: str) -> str:
        if function == "silu":
            return self.node("Mul", [x, self.node("Sigmoid", [x])])
        if function == "leaky_relu":
            return self.node("LeakyRelu", [x], alpha=0.01)
        names = {"relu": "Relu", "elu": "Elu", "gelu": "Gelu", "hardswish": "HardSwish"}
        return self.node(names[function], [x])

    def pool(self, layer: layers.Pool2d, x: str) -> str:
        kind, more = ("Max", {}) if layer.type == "max" else ("Average", {"count_include_pad": 1})
        return self.node(
            f"{kind}Pool", [x], kernel_shape=[layer.kernel] * 2, strides=[layer.stride] * 2,
            pads=[layer.padding] * 4, **more,
        )  # fmt: skip

    def squeeze_excite(self, name: str, layer: layers.SqueezeExcite, x: str) -> str:
        c, s = layer.in_shape[0], layer.squeezed
        y = self.node("GlobalAveragePool", [x])
        for part, shape, act in (
            ("reduce", (s, c, 1, 1), "Relu"),
            ("expand", (c, s, 1, 1), "Sigmoid"),
        ):
            weight = self.constant(self.weight(f"{name}.{part}.weight", shape))
            bias = self.constant(self.weight(f"{name}.{part}.bias", shape[:1]))
            y = self.node(act, [self.node("Conv", [y, weight, bias])])
        return self.node("Mul", [x, y])

    def channel_attention(self, name: str, layer: layers.EfficientChannelAttention, x: str) -> str:
        k = layer.kernel
        means = self.node("Transpose", [self.node("GlobalAveragePool", [x])], perm=[0, 2, 1, 3])
        weight = self.constant(self.weight(f"{name}.conv.weight", (1, 1, k, 1)))
        y = self.node("Conv", [means, weight], kernel_shape=[k, 1], pads=[k // 2, 0, k // 2, 0])
        scale = self.node("Transpose", [self.node("Sigmoid", [y])], perm=[0, 2, 1, 3])
        return self.node("Mul", [x, scale])

    def coordinate_attention(self, name: str, layer: layers.CoordinateAttention, x: str) -> str:
        (c, h, w), s = layer.in_shape, layer.squeezed
        swapped = {"perm": [0, 1, 3, 2]}
        rows, columns = (
            self.node("ReduceMean", [x, self.constant(np.array([axis], np.int64))], keepdims=1)
            for axis in (3, 2)
        )
        columns = self.node("Transpose", [columns], **swapped)
        means = self.node("Concat", [rows, columns], axis=2)
        reduce = layers.Conv2d("reduce", (c, h + w, 1), s, 1, 1, 0, 1, False)
        y = self.affine(name, reduce, layers.BatchNorm("reduce_norm", reduce.out_shape), means)
        y = self.activation("hardswish", y)
        for part, first, last in (("rows", 0, h), ("columns", h, h + w)):
            expand = layers.Conv2d(f"expand_{part}", (s, last - first, 1), c, 1, 1, 0, 1, True)
            gate = self.affine(name, expand, None, self.slice(y, first, last, axis=2))
            if part == "columns":
                gate = self.node("Transpose", [gate], **swapped)
            x = self.node("Mul", [x, self.node("Sigmoid", [gate])])
        return x

    def slice(self, x: str, first: int, last: int, axis: int) -> str:
        bounds = [self.constant(np.array([v], np.int64)) for v in (first, last, axis)]
        return self.node("Slice", [x, *bounds])

    def weight(self, name: str, shape: tuple[int, ...]) -> Floats:
        if self.weights is None:
            return self.rng.normal(0, 0.05, shape).astype(np.float32)
        found = np.asarray(self.weights[name], dtype=np.float32)
        assert found.shape == shape, (name, found.shape, shape)
        return found

    def constant(self, array: npt.NDArray[np.float32] | npt.NDArray[np.int64]) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, op: str, inputs: list[str], **attributes: Any) -> str:
        assert op in OPERATORS, f"{op} is not among OPERATORS"
        out = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [out], **attributes))
        return out
