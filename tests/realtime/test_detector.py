"""Detectors that a user brings."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from nas.realtime.detector import make_detector


def test_yunet_from_a_file_of_the_users(tmp_path):
    """A network with YuNet's outputs that sees one face, always at the same place."""
    path = tmp_path / "yunet.onnx"
    path.write_bytes(_yunet(x=10, y=6, size=np.log(6)).SerializeToString())
    detector = make_detector("yunet", str(path))
    (box,) = detector(np.zeros((160, 160), np.uint8), 20)
    assert box == (8 * 10 - 24, 8 * 6 - 24, 48, 48)
    assert detector(np.zeros((160, 160), np.uint8), 60) == []


def _yunet(x, y, size, side=160):
    """Strides 8, 16, 32: class and object scores, box as centre offset and log size, landmarks."""
    zero = numpy_helper.from_array(np.zeros(1, np.float32), "zero")
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
    ]
    outputs, values = [], [zero]
    for kind, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        for stride in (8, 16, 32):
            cells = (side // stride) ** 2
            value = np.zeros((1, cells, width), np.float32)
            if stride == 8:
                value[0, y * (side // 8) + x] = [0, 0, size, size] if kind == "bbox" else 1.0
            name = f"{kind}_{stride}"
            values.append(numpy_helper.from_array(value, name + "_value"))
            nodes.append(helper.make_node("Add", [name + "_value", "nothing"], [name]))
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape))
    image = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, side, side])
    graph = helper.make_graph(nodes, "yunet", [image], outputs, values)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)
