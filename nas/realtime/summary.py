"""What was done and found, as plain data and as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas.realtime.timing import StageTimer, percentile


@dataclass
class Summary:
    """Of one source. pictures: {"source", "faces"} of each picture; empty for moving pictures.

    intervals, delays: ms between two finished frames, and from reading to done. changes: of labels
    a second of a watched face, by single frames and smoothed.
    """

    steps: StageTimer
    moving: bool = True
    problems: list[str] = field(default_factory=list)
    frames: int = 0
    faces: int = 0
    tracks: set[int] = field(default_factory=set)
    pictures: list[dict[str, Any]] = field(default_factory=list)
    dropped: int = 0
    interrupted: bool = False
    seconds: float = 0.0
    intervals: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    changes: tuple[float, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Frame rates only where frames followed each other."""
        found: dict[str, Any] = {
            "frames": self.frames, "faces": self.faces, "problems": self.problems,
            "ms_per_frame": self.steps.means(),
        }  # fmt: skip
        if not self.moving:
            return {**found, "pictures": self.pictures}
        median = percentile(self.intervals, 50)
        found |= {
            "tracks": len(self.tracks),
            "dropped": self.dropped,
            "fps": self.frames / self.seconds if self.seconds else 0.0,
            "median_fps": 1000 / median if median else 0.0,
            "p99_ms": percentile(self.intervals, 99),
            "p99_delay_ms": percentile(self.delays, 99),
        }
        if self.changes:
            before, after = self.changes
            found["label_changes_per_second"] = {"single_frames": before, "smoothed": after}
        return found


def as_text(found: dict[str, Any], model: Path, written: Sequence[str]) -> str:
    """Lines for the terminal, from what `Summary.to_dict` gives."""
    lines = _pictures(found["pictures"]) if "pictures" in found else _stream(found)
    split = ", ".join(f"{k} {v:.1f}" for k, v in found["ms_per_frame"].items())
    lines.append(f"ms a {'picture' if 'pictures' in found else 'frame'}: {split}; model {model}")
    lines += [f"written: {path}" for path in written]
    return "\n".join(lines)


def _stream(found: dict[str, Any]) -> list[str]:
    lines = [
        f"{found['frames']} frames, {found['faces']} faces, {found['tracks']} tracks; "
        f"{found['fps']:.1f} fps (median {found['median_fps']:.1f}, "
        f"99 % of the frames within {found['p99_ms']:.1f} ms)"
    ]
    if changes := found.get("label_changes_per_second"):
        lines.append(
            f"label changes a second of a face: {changes['single_frames']:.2f} by single frames, "
            f"{changes['smoothed']:.2f} smoothed"
        )
    if found["dropped"]:
        lines.append(f"{found['dropped']} stale frames dropped")
    return lines


def _pictures(pictures: list[dict[str, Any]]) -> list[str]:
    """A line for each face, with its box and the class that leads."""
    lines = []
    for picture in pictures:
        faces = picture["faces"]
        count = "1 face" if len(faces) == 1 else f"{len(faces) or 'no'} faces"
        lines.append(f"{picture['source']}: {count}")
        for face in faces:
            name, share = max(face["probabilities"].items(), key=lambda item: item[1])
            led = "" if name == face["label"] else f" ({name} leads)"
            x, y, width, height = face["box"]
            lines.append(f"  {face['label']} {share:.0%}{led}, {width}x{height} pixels at {x}, {y}")
    return lines
