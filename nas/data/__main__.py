"""python -m nas.data prepare|info|preview: make data sets, look at them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import cv2

from nas.common.cli import exit_code
from nas.common.errors import UserError
from nas.data import (
    DATA,
    Dataset,
    check_name,
    duplicate_report,
    open_dataset,
    prepare_fer2013,
    prepare_ferplus,
    prepare_folder,
    save,
    with_votes,
)
from nas.data.pictures import contact_sheet
from nas.data.synthetic import SYNTHETIC

MIRROR = "deadskull7/fer2013"  # on Kaggle; the CSV, so PublicTest and PrivateTest stay apart


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    if args.command == "prepare":
        return _prepare(args)
    dataset = open_dataset(args.name)
    if args.command == "info":
        _show(_summary(dataset), args.json)
    else:
        _write_png(dataset, args.out)
        print(args.out)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m nas.data", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    prepare = commands.add_parser("prepare", help="turn a download into data/NAME.npz")
    prepare.add_argument(
        "name",
        help="fer2013; ferplus (FER2013 by the majority of --votes); or a name of your choice for "
        "CLASS/image folders",
    )
    origin = prepare.add_mutually_exclusive_group(required=True)
    origin.add_argument("--from", dest="source", type=Path, metavar="FILE_OR_FOLDER")
    origin.add_argument("--download", action="store_true", help=f"FER2013: Kaggle's {MIRROR}")
    prepare.add_argument("--out", type=Path, default=DATA, help="folder (default: data)")
    prepare.add_argument(
        "--size", type=int, default=48, help="side, pixels (folders only; default 48)"
    )
    prepare.add_argument(
        "--allow-counts", action="store_true", help="take a FER2013 that is not the official one"
    )
    prepare.add_argument(
        "--votes", type=Path, metavar="CSV", help="FERPlus's fer2013new.csv (FER2013 only)"
    )
    info = commands.add_parser("info", help="counts, duplicates, provenance")
    preview = commands.add_parser("preview", help="contact sheet, one row per class")
    for command in (info, preview):
        command.add_argument("name", help="synthetic, a name in data/, or a path to an .npz")
    for command in (prepare, info):
        command.add_argument("--json", action="store_true", help="print JSON")
    preview.add_argument("--out", type=Path, required=True, help="PNG to write")
    return parser


def _prepare(args: argparse.Namespace) -> int:
    name = check_name(args.name)
    if name == SYNTHETIC:
        raise UserError(f"prepare: name: {SYNTHETIC!r} is drawn by code; choose another name")
    dataset = _read(args, name)
    dataset.provenance["duplicates"] = duplicate_report(dataset)
    dataset.provenance["counts"] = dataset.counts()
    path = save(dataset, args.out / f"{name}.npz")
    _show({"path": str(path), **_summary(dataset)}, args.json)
    return 0


def _read(args: argparse.Namespace, name: str) -> Dataset:
    of_fer2013 = name in ("fer2013", "ferplus")
    if args.download and not of_fer2013:
        raise UserError(f"--download: found {name!r}; only fer2013 and ferplus can be downloaded")
    if name == "ferplus" and not args.votes:
        raise UserError("ferplus: its labels are votes; expected --votes fer2013new.csv")
    source = _download() if args.download else args.source
    if not of_fer2013:
        dataset = prepare_folder(source, name, args.size)
    else:
        dataset = prepare_fer2013(source, check_counts=not args.allow_counts)
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
    return {
        "name": dataset.name,
        "shape": list(dataset.images.shape),
        "fingerprint": dataset.fingerprint,
        "counts": dataset.counts(),
        "duplicates": dataset.provenance.get("duplicates") or duplicate_report(dataset),
        "provenance": {
            k: v for k, v in dataset.provenance.items() if k not in ("counts", "duplicates")
        },
    }


def _show(summary: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(summary, indent=2))
        return
    for key, value in summary.items():
        if key == "counts":
            _show_counts(value)
        elif isinstance(value, dict):
            print(f"{key}: {_flat(value)}")
        else:
            print(f"{key}: {value}")


def _flat(value: dict[str, Any]) -> str:
    return ", ".join(
        f"{k} ({_flat(v)})" if isinstance(v, dict) else f"{k} {v}" for k, v in value.items()
    )


def _show_counts(counts: dict[str, dict[str, int]]) -> None:
    classes = list(next(iter(counts.values())))
    width = max(9, *(len(c) for c in classes)) + 1
    print(" " * 12 + "".join(f"{c:>{width}}" for c in [*classes, "all"]))
    for split, row in counts.items():
        numbers = [*row.values(), sum(row.values())]
        print(f"{split:<12}" + "".join(f"{n:>{width}}" for n in numbers))


def _write_png(dataset: Dataset, path: Path) -> None:
    ok, raw = cv2.imencode(".png", contact_sheet(dataset))
    if not ok:
        raise UserError(f"{path}: the contact sheet could not be encoded as PNG")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw.tobytes())
    except OSError as error:
        raise UserError(f"{path}: cannot write: {error.strerror}") from None


if __name__ == "__main__":
    sys.exit(exit_code(main))
