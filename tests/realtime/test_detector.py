"""The cascade that comes with OpenCV, and detectors that a user brings."""

import cv2
import numpy as np
from conftest import ROOT
from onnx import TensorProto, helper, numpy_helper

from nas.realtime.boxes import iou
from nas.realtime.detector import make_detector

HEIGHT, WIDTH = 128, 192  # of the frames


def test_the_cascade_looks_for_faces_of_the_sizes_asked_for():
    """A photographed face of about 100 pixels."""
    frame = cv2.imread(str(ROOT / "experiments/fer2013/frame.png"), cv2.IMREAD_GRAYSCALE)
    detector = make_detector("haar-alt2")
    (box,) = detector(frame, 40)
    assert iou(box, (145, 66, 104, 106)) > 0.7
    assert detector(frame, 40, 160) == [box]
    assert detector(frame, 40, 60) == detector(frame, 160) == []


def test_yunet_from_a_file_of_the_users(tmp_path):
    """A network with YuNet's outputs that sees one face, always at the same place."""
    path = tmp_path / "yunet.onnx"
    path.write_bytes(_yunet(10, 6, np.log([4, 6])).SerializeToString())
    detector = make_detector("yunet", str(path))
    frame = np.zeros((HEIGHT, WIDTH), np.uint8)
    (box,) = detector(frame, 20)
    assert box == (8 * 10 - 24, 8 * 6 - 24, 48, 48)  # a square round the face of 32 x 48
    assert detector(frame, 48, 48) == [box]
    assert detector(frame, 49) == detector(frame, 20, 47) == []


def _yunet(x, y, sizes):
    """Strides 8, 16, 32: class and object scores, box as centre offset and log size, landmarks."""
    zero = numpy_helper.from_array(np.zeros(1, np.float32), "zero")
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
    ]
    outputs, values = [], [zero]
    for kind, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        for stride in (8, 16, 32):
            cells = (HEIGHT // stride) * (WIDTH // stride)
            value = np.zeros((1, cells, width), np.float32)
            if stride == 8:
                value[0, y * (WIDTH // 8) + x] = [0, 0, *sizes] if kind == "bbox" else 1.0
            name = f"{kind}_{stride}"
            values.append(numpy_helper.from_array(value, name + "_value"))
            nodes.append(helper.make_node("Add", [name + "_value", "nothing"], [name]))
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape))
    image = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, HEIGHT, WIDTH])
    graph = helper.make_graph(nodes, "yunet", [image], outputs, values)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)
