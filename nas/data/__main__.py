"""python -m nas.data prepare|info|preview: make data sets, look at them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from nas import data
from nas.common.cli import Parser, exit_code, note, say, show
from nas.common.errors import UserError, quoted
from nas.data import DATA, Dataset, check_name, duplicate_report, load, save
from nas.data.dataset import SYNTHETIC
from nas.data.ferplus import prepare_ferplus, with_votes
from nas.data.intake import KEY, Intake

MIRROR = "deadskull7/fer2013"  # on Kaggle; the CSV, so PublicTest and PrivateTest stay apart
SEVEN = ("fer2013", "ferplus")


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    if args.command == "preview":
        data.write_contact_sheet(data.open_dataset(args.name), args.out)
        say(str(args.out))
        return 0
    prepares = args.command == "prepare"
    summary = _prepare(args) if prepares else _summary(data.open_dataset(args.name))
    show(summary, args.json, lambda: _text(summary))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser("nas.data", __doc__ or "")
    commands = parser.add_subparsers(dest="command", required=True)
    prepare = commands.add_parser("prepare", help="turn a download into data/NAME.npz")
    add = prepare.add_argument
    add(
        "name",
        help="fer2013; ferplus (FER2013 by the majority of --votes); or a name of your choice for "
        "pictures in class folders, JAFFE, KDEF, CK+, RAF-DB or AffectNet",
    )
    origin = prepare.add_mutually_exclusive_group(required=True)
    origin.add_argument("--from", dest="source", type=Path, metavar="FILE_OR_FOLDER",
                        help="a folder or .zip; of FER2013 also its CSV")  # fmt: skip
    origin.add_argument("--download", action="store_true", help=f"FER2013: Kaggle's {MIRROR}")
    add("--out", type=Path, default=DATA, help="folder (default: data)")
    add("--size", type=int, metavar="N",
        help="pictures of N x N pixels (default: their own where all are squares of one size up to "
        "96, else 48)")  # fmt: skip
    add("--colour", action=argparse.BooleanOptionalAction, default=None,
        help="three channels, or one (default: as most pictures are)")  # fmt: skip
    add("--skip-broken", action="store_true", help="leave out pictures that cannot be read")
    add("--allow-counts", action="store_true", help="take a FER2013 that is not the official one")
    add("--votes", type=Path, metavar="CSV", help="FERPlus's fer2013new.csv (FER2013 only)")
    info = commands.add_parser("info", help="counts, duplicates, provenance")
    preview = commands.add_parser("preview", help="contact sheet, one row per class")
    for command in (info, preview):
        command.add_argument(
            "name", help="synthetic, a name in data/, a path to an .npz, or a folder of pictures"
        )
    for command in (prepare, info):
        command.add_json()
    preview.add_argument("--out", type=Path, required=True, help="PNG to write")
    return parser


def _prepare(args: argparse.Namespace) -> dict[str, Any]:
    name = check_name(args.name)
    if name == SYNTHETIC:
        raise UserError(f"prepare: name: {SYNTHETIC!r} is drawn by code; choose another name")
    dataset = _read(args, name)
    path = args.out / f"{name}.npz"
    replaced = _replaced(path, dataset)
    save(dataset, path)
    if replaced:
        note(replaced)
    return {"path": str(path), **_summary(dataset)}


def _replaced(path: Path, dataset: Dataset) -> str:
    """A line on what the file held until now; empty where it held nothing else."""
    if not path.exists():
        return ""
    try:
        before = load(path)
    except UserError as error:
        return f"replaced: {error}"
    if before.fingerprint == dataset.fingerprint:
        return ""
    return f"{path}: replaced {_contents(before)} by {_contents(dataset)}"


def _contents(dataset: Dataset) -> str:
    size = "x".join(map(str, dataset.shape))
    return f"{len(dataset)} images of {size}, classes {quoted(dataset.classes)}"


def _read(args: argparse.Namespace, name: str) -> Dataset:
    if args.download and name not in SEVEN:
        raise UserError(f"--download: found {name!r}; only fer2013 and ferplus can be downloaded")
    if name == "ferplus" and not args.votes:
        raise UserError("ferplus: its labels are votes; expected --votes fer2013new.csv")
    if name in SEVEN and (args.size, args.colour, args.skip_broken) != (None, None, False):
        raise UserError(
            f"{name}: is 48x48 and grey; --size, --colour and --skip-broken are not for it"
        )
    source = _download() if args.download else args.source
    if name not in SEVEN:
        dataset = data.prepare_folder(source, name, args.size, args.colour, args.skip_broken)
    else:
        dataset = data.prepare_fer2013(source, check_counts=not args.allow_counts)
    if args.votes:
        label = prepare_ferplus if name == "ferplus" else with_votes
        dataset = label(dataset, args.votes)
        dataset.provenance["votes"] = args.votes.name
    return dataset


def _download() -> Path:
    try:
        import kagglehub
    except ImportError:
        raise UserError(
            "--download: kagglehub is not installed; pip install 'fer-nas[download]', or fetch "
            f"https://www.kaggle.com/datasets/{MIRROR} yourself and pass it with --from"
        ) from None
    try:
        return Path(kagglehub.dataset_download(MIRROR))
    except Exception as error:  # kagglehub raises many kinds: network, credentials, disk
        raise UserError(
            f"--download: Kaggle's {MIRROR}: {error}; fetch it and use --from"
        ) from None


def _summary(dataset: Dataset) -> dict[str, Any]:
    channels, height, width = dataset.shape
    return {
        "name": dataset.name,
        "images": len(dataset),
        "classes": list(dataset.classes),
        "channels": channels,
        "height": height,
        "width": width,
        "fingerprint": dataset.fingerprint,
        "counts": dataset.counts(),
        "duplicates": duplicate_report(dataset),
        "provenance": {
            k: v for k, v in dataset.provenance.items() if k not in ("counts", "duplicates")
        },
    }


def _text(summary: dict[str, Any]) -> str:
    provenance = dict(summary["provenance"])
    intake = Intake.from_provenance(provenance, summary["name"])
    provenance.pop(KEY, None)
    lines = [f"path: {summary['path']}"] if "path" in summary else []
    lines += [
        f"name: {summary['name']}",
        f"images: {summary['images']} of {summary['channels']}x{summary['height']}x"
        f"{summary['width']} (channels x height x width)",
        f"fingerprint: {summary['fingerprint']}",
        *_counts(summary["counts"]),
        f"duplicates: {_flat(summary['duplicates'])}",
        f"provenance: {_flat(provenance)}",
        *(intake.lines() if intake else []),
    ]
    return "\n".join(lines)


def _flat(value: dict[str, Any]) -> str:
    return ", ".join(
        f"{k} ({_flat(v)})" if isinstance(v, dict) else f"{k} {v}" for k, v in value.items()
    )


def _counts(counts: dict[str, dict[str, int]]) -> list[str]:
    """A row for each class, so that many classes fit."""
    width = max(5, *(len(name) for row in counts.values() for name in row)) + 2
    lines = [" " * width + "".join(f"{split:>12}" for split in counts)]
    for name in next(iter(counts.values())):
        lines.append(f"{name:<{width}}" + "".join(f"{row[name]:>12}" for row in counts.values()))
    totals = [sum(row.values()) for row in counts.values()]
    return [*lines, f"{'all':<{width}}" + "".join(f"{total:>12}" for total in totals)]


if __name__ == "__main__":
    sys.exit(exit_code(main))
