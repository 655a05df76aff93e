"""Cost, torch module and ONNX graph of a genome agree; gradients reach every parameter."""

import numpy as np
import onnxruntime
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nas.arch import module as modules
from nas.arch.lowering import cost
from nas.arch.module import build
from nas.arch.onnx import to_onnx

FREE = (nn.Dropout, nn.Flatten, nn.Sequential, modules.SliceModule)  # nothing or a view
COMPOSED = (  # their own output counts, beside those of their parts
    modules.SqueezeExciteModule,
    modules.EfficientChannelAttentionModule,
    modules.CoordinateAttentionModule,
    modules.ConcatModule,
)


def check(genome):
    torch.manual_seed(0)
    model = build(genome)
    size = genome.input
    x = torch.randn(3, size.channels, size.height, size.width)
    check_gradients(model, x)
    model.eval()
    check_cost(genome, model, x[:1])
    check_onnx(genome, model, x)


def check_gradients(model, x):
    loss = model.train()(x).square().sum()
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


def check_cost(genome, model, x):
    elements = 0

    def count(module, _, output):
        nonlocal elements
        elements += output.numel()

    for module in model.modules():
        leaf = not list(module.children()) and not isinstance(module, FREE)
        if leaf or isinstance(module, COMPOSED):
            module.register_forward_hook(count)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    found = cost(genome)
    assert found.params == sum(p.numel() for p in model.parameters())
    assert found.macs == counter.get_total_flops() // 2
    assert found.activations == elements


def check_onnx(genome, model, x):
    with torch.no_grad():
        for module in model.modules():  # statistics as after training
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.5, 1.5)
        expected = model(x).numpy()
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    session = onnxruntime.InferenceSession(
        to_onnx(genome, weights).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found = session.run(None, {"image": x.numpy()})[0]
    assert found.shape == (len(x), genome.num_classes)
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(found, expected, atol=2e-4 * scale)
