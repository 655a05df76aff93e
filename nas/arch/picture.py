"""A genome as notebooks show it: a drawing, and a table of its units with shapes and costs."""

from __future__ import annotations

from nas.arch.genome import Genome
from nas.arch.lowering import cost, lower, summary
from nas.report.network import Drawn, network_svg


def svg(genome: Genome) -> str:
    """The drawing alone."""
    size, total = genome.input, cost(genome)
    blocks = [block for stage in genome.stages for block in stage.blocks]
    units = lower(genome)
    labels = [("resize", "resize")] if size.resize else []
    labels += [(f"{b.kind} {b.kernel}\u00d7{b.kernel}", b.kind) for b in blocks]
    labels += [(unit.name, "head") for unit in units[len(labels) :]]
    drawn = [Drawn("image", "image", size.shape)]
    drawn += [
        Drawn(name, kind, unit.out_shape, unit.skip is not None)
        for (name, kind), unit in zip(labels, units, strict=True)
    ]
    return network_svg(
        f"{genome.id}: {total.params:,} parameters, {total.macs / 1e6:.1f} million MACs", drawn
    )


def html(genome: Genome) -> str:
    """The drawing above the table."""
    total = cost(genome)
    rows = [
        (unit.name, "&times;".join(map(str, unit.out_shape)), unit.cost.params, unit.cost.macs,
         summary(unit)) for unit in lower(genome)
    ]  # fmt: skip
    lines = [
        f"<tr><td>{name}</td><td>{shape}</td><td>{params:,}</td><td>{macs:,}</td><td>{what}</td></tr>"
        for name, shape, params, macs, what in [*rows, ("total", "", total.params, total.macs, "")]
    ]
    head = "".join(f"<th>{name}</th>" for name in ("unit", "shape", "parameters", "MACs", "layers"))
    return (
        f"{svg(genome)}<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    )
