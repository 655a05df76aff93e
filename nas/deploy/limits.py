"""Bounds on a model file from anywhere, checked before ONNX Runtime sees it.

A file of a kilobyte can ask for gigabytes or hours: by an operator that makes much of little, by
a large kernel, by a chain of large products. So its operators are those that we write, and what
they hold and compute is counted from inferred shapes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import onnx

from nas.arch.onnx import OPERATORS
from nas.common.errors import UserError, first_line, one_of, shown

ALLOWED = OPERATORS | {"QuantizeLinear", "DequantizeLinear"}  # those of deploy/quantise.py
BATCH = 8  # images that are given to a foreign model at once, at most
MAX_VALUES = 400_000_000  # between its layers and in a convolution's buffer, for so many images
MAX_MACS = 200_000_000_000  # for so many images; minutes at most

Shapes = dict[str, list[int]]


def check_graph(raw: bytes, where: str) -> None:
    """UserError where a file's content is no model, a foreign one, or one too large to run.

    Shapes are inferred for BATCH images; one that is not known before the graph runs is refused.
    """
    try:
        model = onnx.ModelProto.FromString(raw)
    except Exception:  # protobuf's own kind, which has no stable home
        raise UserError(f"{where}: not a readable ONNX model") from None
    _check_parts(model, where)
    shapes = _inferred(model, where)
    values = sum(math.prod(shapes[name]) for node in model.graph.node for name in node.output)
    if values > MAX_VALUES:
        raise UserError(
            f"{where}: would hold {values:,} values for {BATCH} images; allowed at most "
            f"{MAX_VALUES:,}"
        )
    macs = 0
    for node in model.graph.node:
        products, buffer = _work(node, shapes)
        macs += products
        if buffer > MAX_VALUES:
            raise UserError(
                f"{where}: {node.op_type} {shown(node.output[0])} would need a buffer of "
                f"{buffer:,} values; allowed at most {MAX_VALUES:,}"
            )
    if macs > MAX_MACS:
        raise UserError(
            f"{where}: would take {macs:,} multiply-accumulates for {BATCH} images; allowed at "
            f"most {MAX_MACS:,}"
        )


def _check_parts(model: onnx.ModelProto, where: str) -> None:
    graph = model.graph
    attributes = [attribute for node in graph.node for attribute in node.attribute]
    branches = any(a.HasField("g") or a.graphs for a in attributes)
    sparse = graph.sparse_initializer or any(
        a.HasField("sparse_tensor") or a.sparse_tensors for a in attributes
    )
    foreign = any(node.domain not in ("", "ai.onnx") for node in graph.node)
    if model.functions or branches or sparse or foreign:
        raise UserError(
            f"{where}: holds branches, functions, sparse weights or foreign operators; expected "
            "plain ONNX operators"
        )
    if any(getattr(part, "external_data", None) for part in _messages(model)):
        # It might name any file of this machine; older releases of ONNX Runtime would read it.
        raise UserError(f"{where}: keeps weights in another file; expected a model in one file")
    for node in graph.node:
        if node.op_type not in ALLOWED:
            raise one_of(f"{where}: graph", node.op_type, sorted(ALLOWED), "operator")


def _inferred(model: onnx.ModelProto, where: str) -> Shapes:
    """The shapes of all values. UserError where one is not known."""
    graph = model.graph
    for value in graph.input:
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_value = BATCH
    del graph.value_info[:]  # what the file claims is not what counts
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        found = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    except Exception as error:  # onnx.shape_inference's own kind
        raise UserError(f"{where}: not a readable ONNX model: {first_line(error)[:200]}") from None
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    for value in (*found.input, *found.value_info, *found.output):
        shape = _shape(value.type)
        if shape is not None:
            shapes[value.name] = shape
    for node in graph.node:
        for name in (*node.input, *node.output):
            if name and name not in shapes:
                raise UserError(
                    f"{where}: the size of value {shown(name)} is not known before the graph runs"
                )
    return shapes


def _shape(kind: onnx.TypeProto) -> list[int] | None:
    if not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
        return None
    dims = kind.tensor_type.shape.dim
    if not all(dim.HasField("dim_value") and dim.dim_value >= 0 for dim in dims):
        return None
    return [dim.dim_value for dim in dims]


def _work(node: onnx.NodeProto, shapes: Shapes) -> tuple[int, int]:
    """(multiply-accumulates, values of a buffer) of one operator."""
    out = math.prod(shapes[node.output[0]])
    if node.op_type == "Conv":
        weight = shapes[node.input[1]]  # (out channels, channels of a group, height, width)
        products = math.prod(weight[1:])
        columns = products * out // max(1, weight[0])  # im2col, of one group
        return out * products, columns if math.prod(weight[2:]) > 1 else 0
    if node.op_type == "Gemm":
        transposed = any(a.name == "transA" and a.i for a in node.attribute)
        return out * shapes[node.input[0]][0 if transposed else 1], 0
    if node.op_type in ("MaxPool", "AveragePool"):
        kernel = next((a.ints for a in node.attribute if a.name == "kernel_shape"), ())
        return out * math.prod(kernel), 0
    if node.op_type in ("GlobalAveragePool", "GlobalMaxPool", "ReduceMean"):
        return math.prod(shapes[node.input[0]]), 0
    return out, 0


def _messages(message: Any) -> Iterator[Any]:
    """A protobuf message and all that it holds, however deep."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in [value] if hasattr(value, "ListFields") else value:
                yield from _messages(inner)
