"""Genome -> torch module, from the same lowered layers that give the cost and the ONNX graph."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_input

from nas.arch import layers
from nas.arch.genome import Genome
from nas.arch.layers import Layer, Unit
from nas.arch.lowering import check_size, lower

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "hardswish": nn.Hardswish,
}


LARGE = 5  # kernels of depthwise convolutions from here on have a weight gradient of our own


class LargeDepthwise(torch.autograd.Function):
    """Depthwise convolution at stride 1 for kernels of 5 and more on a CPU: x, weight -> y.

    oneDNN's weight gradient reaches 2 to 4 GMAC/s there (torch 2.13, AVX2 and AVX-512; its 3x3
    reaches 30). Here each image's channel is a group of one convolution whose kernel is the
    gradient of the output: the same sums, 1.2 to 6 times as fast in float32.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        """x: (N, C, H, W); weight: (C, 1, k, k), k odd -> (N, C, H, W)."""
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, padding=weight.shape[-1] // 2, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (gradient,) = gradients
        x, weight = ctx.saved_tensors
        n, channels, *size = x.shape
        padding = weight.shape[-1] // 2
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_x = conv2d_input(x.shape, weight, gradient, padding=padding, groups=channels)
        if ctx.needs_input_grad[1]:
            sums = F.conv2d(
                x.reshape(1, n * channels, *size), gradient.reshape(n * channels, 1, *size),
                padding=padding, groups=n * channels,
            )  # fmt: skip
            of_weight = sums.reshape(n, *weight.shape).sum(0)
        return of_x, of_weight


class DepthwiseConv2d(nn.Conv2d):
    """Depthwise convolution, on a CPU by the quickest way that was measured (torch 2.13).

    At stride 2 bfloat16 takes 8 to 11 times as long as float32, which is used instead.
    """

    @property
    def large(self) -> bool:
        """Whether LargeDepthwise is this convolution."""
        size = self.kernel_size[0]
        same = self.kernel_size == (size, size) and self.padding == (size // 2, size // 2)
        return size >= LARGE and size % 2 == 1 and same and self.weight.shape[1] == 1

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            return super().forward(x)
        autocast = torch.is_autocast_enabled("cpu")
        if self.stride == (1, 1):
            if not (self.large and torch.is_grad_enabled()):
                return super().forward(x)
            dtype = torch.get_autocast_dtype("cpu") if autocast else x.dtype
            y: Tensor = LargeDepthwise.apply(x.to(dtype), self.weight.to(dtype))  # type: ignore[no-untyped-call]
            return y if self.bias is None else y + self.bias.to(dtype)[:, None, None]
        if not autocast:
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float()).to(x.dtype)


class StridedPointwiseConv2d(nn.Conv2d):
    """1x1 convolution with a stride, as one without on the pixels that it looks at.

    oneDNN's own weight gradient writes out of bounds for 1 to 7 input channels in channels-last
    memory on AVX2 (torch 2.13).
    """

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = self.stride
        return F.conv2d(x[:, :, ::rows, ::columns], self.weight, self.bias)


class SqueezeExciteModule(nn.Module):
    """x: (N, C, H, W) -> x scaled per channel."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.act = nn.ReLU()
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        scale: Tensor = self.gate(self.expand(self.act(self.reduce(self.pool(x)))))
        return x * scale


class EfficientChannelAttentionModule(nn.Module):
    """x: (N, C, H, W) -> x scaled per channel."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.conv = nn.Conv2d(1, 1, (kernel, 1), padding=(kernel // 2, 0), bias=False)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        means = self.pool(x).transpose(1, 2)  # (N, 1, C, 1)
        scale: Tensor = self.gate(self.conv(means)).transpose(1, 2)
        return x * scale


class CoordinateAttentionModule(nn.Module):
    """x: (N, C, H, W) -> x scaled per channel and row, and per channel and column."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.rows = nn.AdaptiveAvgPool2d((None, 1))
        self.columns = nn.AdaptiveAvgPool2d((1, None))
        self.reduce = nn.Conv2d(channels, squeezed, 1, bias=False)
        self.reduce_norm = nn.BatchNorm2d(squeezed)
        self.act = nn.Hardswish()
        self.expand_rows = nn.Conv2d(squeezed, channels, 1)
        self.expand_columns = nn.Conv2d(squeezed, channels, 1)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        means = torch.cat([self.rows(x), self.columns(x).transpose(2, 3)], dim=2)  # (N, C, H+W, 1)
        squeezed = self.act(self.reduce_norm(self.reduce(means)))
        rows, columns = squeezed.split([x.shape[2], x.shape[3]], dim=2)
        by_row: Tensor = self.gate(self.expand_rows(rows))
        by_column: Tensor = self.gate(self.expand_columns(columns.transpose(2, 3)))
        return x * by_row * by_column


class SliceModule(nn.Module):
    """x: (N, C, H, W) -> (N, channels, H, W), from channel `first` on."""

    def __init__(self, first: int, channels: int) -> None:
        super().__init__()
        self.first, self.channels = first, channels

    def forward(self, x: Tensor) -> Tensor:
        return x.narrow(1, self.first, self.channels)


class ConcatModule(nn.ModuleList):
    """x: (N, C, H, W) -> the branches' outputs as channels side by side."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self], dim=1)


class UnitModule(nn.Module):
    """`post(main(x) + skip(x))`; the layers are children under their own names."""

    def __init__(self, unit: Unit) -> None:
        super().__init__()
        for layer in unit.layers:
            self.add_module(layer.name, _module(layer))
        self.main = [layer.name for layer in unit.main]
        self.skip = None if unit.skip is None else [layer.name for layer in unit.skip]
        self.post = [layer.name for layer in unit.post]

    def forward(self, x: Tensor) -> Tensor:
        y = self._run(self.main, x)
        if self.skip is not None:
            y = y + self._run(self.skip, x)
        return self._run(self.post, y)

    def _run(self, names: Iterable[str], x: Tensor) -> Tensor:
        for name in names:
            x = self.get_submodule(name)(x)
        return x


def build(genome: Genome) -> nn.Sequential:
    """The genome's model: (N, C, H, W) normalised pixels -> (N, classes) logits.

    UserError, before anything is allocated, when the genome is too large to build.
    """
    check_size(genome)
    model = nn.Sequential()
    for unit in lower(genome):
        model.add_module(unit.name, UnitModule(unit))
    model.apply(_initialise)
    return model


def _module(layer: Layer) -> nn.Module:
    channels = layer.in_shape[0]
    match layer:
        case layers.Conv2d():
            return _convolution(layer)(
                channels, layer.channels, layer.kernel, layer.stride, layer.padding,
                groups=layer.groups, bias=layer.bias,
            )  # fmt: skip
        case layers.BatchNorm():
            flat = layer.in_shape[1:] == (1, 1) and layer.name == "linear_norm"
            return nn.BatchNorm1d(channels) if flat else nn.BatchNorm2d(channels)
        case layers.Activation():
            # In place where the gradient needs only the output: half the memory traffic.
            inplace: dict[str, Any] = {"inplace": True} if layer.function == "relu" else {}
            return ACTIVATIONS[layer.function](**inplace)
        case layers.Pool2d():
            pool = nn.MaxPool2d if layer.type == "max" else nn.AvgPool2d
            return pool(layer.kernel, layer.stride, layer.padding)
        case layers.GlobalPool():
            return nn.AdaptiveAvgPool2d(1) if layer.type == "avg" else nn.AdaptiveMaxPool2d(1)
        case layers.SqueezeExcite():
            return SqueezeExciteModule(channels, layer.squeezed)
        case layers.EfficientChannelAttention():
            return EfficientChannelAttentionModule(layer.kernel)
        case layers.CoordinateAttention():
            return CoordinateAttentionModule(channels, layer.squeezed)
        case layers.Slice():
            return SliceModule(layer.first, layer.channels)
        case layers.Concat():
            return ConcatModule(_sequence(branch) for branch in layer.branches)
        case layers.Linear():
            return nn.Linear(channels, layer.features)
        case layers.Flatten():
            return nn.Flatten()
        case layers.Dropout():
            return nn.Dropout(layer.rate)
        case layers.Resize():
            return nn.Upsample((layer.side, layer.side), mode="bilinear", align_corners=False)
    raise AssertionError(layer)


def _convolution(layer: layers.Conv2d) -> type[nn.Conv2d]:
    if layer.groups > 1:
        return DepthwiseConv2d
    return StridedPointwiseConv2d if layer.kernel == 1 < layer.stride else nn.Conv2d


def _sequence(path: Iterable[Layer]) -> nn.Sequential:
    return nn.Sequential(OrderedDict((layer.name, _module(layer)) for layer in path))


def _initialise(module: nn.Module) -> None:
    """He et al. 2015 for convolutions (fan out); torch's defaults elsewhere."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if module.groups > 1:
            fan = module.weight[0].numel()
            nn.init.normal_(module.weight, 0.0, (2.0 / fan) ** 0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
