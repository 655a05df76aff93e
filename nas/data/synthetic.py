"""Drawn faces with seven expressions: a data set that needs no download and no licence.

Each face is an identity (shape, tones, hair, glasses), an expression of some intensity written as
a few facial action units, and a nuisance (pose, light, blur, noise, occlusion). Expressions overlap
where they are subtle, as real ones do, so no model reaches 100%.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from nas.common.errors import UserError
from nas.common.expressions import CLASSES
from nas.data.dataset import SYNTHETIC, Bytes, Dataset

SIDE = 48
SCALE = 3  # drawn this much larger, then averaged down
CANVAS = SIDE * SCALE
SHIFT = 4  # fractional bits of OpenCV's coordinates
MAX_FACES = 200_000
VERSION = 2  # part of the provenance: another drawing is another data set
T = np.linspace(-1.0, 1.0, 15)  # along an eye, a brow or a mouth
CIRCLE = np.linspace(0.0, 2 * np.pi, 24, endpoint=False)

Floats = npt.NDArray[np.float64]
Generator = np.random.Generator

# Action units after Ekman and Friesen's FACS: what a full expression adds to the face at rest.
# fmt: off
UNITS = (
    "inner_brow", "outer_brow",  # up
    "frown",                     # brows together
    "eye", "squint",             # opening; lower lid up
    "nose",                      # wrinkled
    "corner", "width",           # of the mouth: corners up, wider
    "open", "upper_lip",         # jaw down; lip raised
    "teeth",                     # shown
    "fold",                      # from nose to mouth
)
EXPRESSIONS = {  # the variants of each class
    #            brows            eyes        nose  mouth
    "angry":    ((-1.0, 0.1, 1.0, -0.3, 0.0,  0.0,  -0.35, -0.2, 0.0, 0.0, 0.0, 0.0),
                 (-1.0, 0.0, 1.0,  0.1, 0.0,  0.3,  -0.1,   0.0, 0.35, 0.0, 1.0, 0.0)),
    "disgust":  ((-0.6, 0.0, 0.5, -0.4, 0.8,  1.0,  -0.5,   0.0, 0.15, 1.0, 0.0, 1.0),
                 (-0.5, -0.2, 0.0, -0.5, 0.7, 1.0,  -0.7,   0.0, 0.0, 0.6, 0.0, 0.8)),
    "fear":     ((0.9, 0.3, 0.6,   0.9, 0.0,  0.0,  -0.4,   0.3, 0.3, 0.0, 0.6, 0.0),
                 (0.8, 0.1, 0.5,   0.8, 0.0,  0.0,  -0.3,  0.15, 0.5, 0.0, 0.0, 0.0)),
    "happy":    ((0.0, 0.0, 0.0,   0.0, 0.6,  0.0,   1.0,   0.5, 0.35, 0.0, 1.0, 0.7),
                 (0.0, 0.0, 0.0,   0.0, 0.5,  0.0,   0.9,   0.4, 0.0, 0.0, 0.0, 0.6)),
    "sad":      ((0.7, -0.6, 0.3, -0.4, 0.0,  0.0,  -0.9,  -0.1, 0.0, 0.0, 0.0, 0.0),
                 (0.6, -0.5, 0.0, -0.6, 0.0,  0.0,  -0.7,   0.0, 0.1, 0.0, 0.0, 0.0)),
    "surprise": ((0.9, 1.0, 0.0,   0.9, 0.0,  0.0,   0.0,  -0.5, 1.0, 0.0, 0.0, 0.0),
                 (0.8, 0.9, 0.0,   0.8, 0.0,  0.0,   0.0,  -0.3, 0.6, 0.0, 0.0, 0.0)),
    "neutral":  ((0.0,) * 12,),
}
# fmt: on


@dataclass(frozen=True)
class Canvas:
    """A grey image and the map from face coordinates to it: x, y in [-1, 1], y downwards."""

    image: Bytes
    matrix: Floats  # (2, 2), pixels per unit
    centre: Floats  # (2,), pixels
    yaw: float  # the head turned: what stands out from it moves sideways

    @cached_property
    def unit(self) -> float:
        """Pixels per unit, averaged over directions."""
        return float(np.sqrt(np.abs(np.linalg.det(self.matrix))))

    def place(
        self, x: npt.ArrayLike, y: npt.ArrayLike, depth: float = 1.0
    ) -> npt.NDArray[np.int32]:
        """Face coordinates, each (n,) or a number -> OpenCV's fixed-point pixels (n, 2)."""
        points = np.empty((max(np.size(x), np.size(y)), 2))
        points[:, 0], points[:, 1] = x, y
        points[:, 0] += self.yaw * depth
        points = points @ (self.matrix.T * (1 << SHIFT)) + self.centre * (1 << SHIFT)
        return np.rint(points).astype(np.int32)

    def fill(self, x: npt.ArrayLike, y: npt.ArrayLike, grey: float, depth: float = 1.0) -> None:
        cv2.fillPoly(self.image, [self.place(x, y, depth)], _tone(grey), cv2.LINE_AA, SHIFT)

    def ellipse(
        self, x: float, y: float, wide: float, high: float, grey: float, depth: float = 1.0
    ) -> None:
        """Round (x, y), with these half axes."""
        self.fill(x + wide * np.cos(CIRCLE), y + high * np.sin(CIRCLE), grey, depth)

    def between(self, x: Floats, upper: Floats, lower: Floats, grey: float, depth: float) -> None:
        """What lies between two lines over the same x."""
        self.fill(np.append(x, x[::-1]), np.append(upper, lower[::-1]), grey, depth)

    def stroke(
        self, x: npt.ArrayLike, y: npt.ArrayLike, grey: float, width: float, depth: float = 1.0
    ) -> None:
        """`width` in face units."""
        pixels = max(1, round(width * self.unit))
        points = [self.place(x, y, depth)]
        cv2.polylines(self.image, points, False, _tone(grey), pixels, cv2.LINE_AA, SHIFT)


def synthetic_faces(
    n_train: int = 1800, n_validation: int = 600, n_test: int = 600, seed: int = 0
) -> Dataset:
    """Balanced classes in each split; the same arguments give the same pixels."""
    sizes = (n_train, n_validation, n_test)
    if min(sizes) < len(CLASSES) or sum(sizes) > MAX_FACES:
        raise UserError(
            f"synthetic faces: expected {len(CLASSES)} or more in each split and at most "
            f"{MAX_FACES} in all, got {sizes}"
        )
    split = np.repeat(np.arange(3, dtype=np.uint8), sizes)
    labels = np.concatenate([np.arange(n) % len(CLASSES) for n in sizes]).astype(np.uint8)
    images = np.stack([  # face k depends on (seed, k) alone
        draw_face(CLASSES[label], np.random.default_rng((seed, k)))
        for k, label in enumerate(labels)
    ])  # fmt: skip
    provenance = {"source": f"nas/data/synthetic.py v{VERSION}", "seed": seed, "synthetic": True}
    return Dataset(SYNTHETIC, images[:, None], labels, split, CLASSES, provenance)


def draw_face(expression: str, rng: Generator) -> Bytes:
    """One face, uint8 (48, 48)."""
    skin = float(rng.uniform(120, 210))
    canvas = Canvas(_background(rng), *_pose(rng))
    units = _units(expression, rng)
    _draw_head(canvas, skin, rng)
    _draw_nose(canvas, skin, units, rng)
    _draw_mouth(canvas, skin, units, rng)
    _draw_eyes(canvas, skin, units, rng)
    _occlude(canvas, rng)
    small = cv2.resize(canvas.image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return _expose(np.asarray(small, np.float64), rng)


def _tone(grey: float) -> tuple[float]:
    return (min(max(float(grey), 0.0), 255.0),)


def _units(expression: str, rng: Generator) -> dict[str, float]:
    """Rest differs between people; intensity between pictures, from subtle to full."""
    variants = EXPRESSIONS[expression]
    full = np.array(variants[rng.integers(len(variants))])
    intensity = 0.55 + 0.6 * rng.beta(2.0, 1.3)
    found = full * intensity * rng.uniform(0.75, 1.15, len(UNITS))
    found += rng.normal(0, 0.1, len(UNITS))
    return dict(zip(UNITS, found.tolist(), strict=True))


def _pose(rng: Generator) -> tuple[Floats, Floats, float]:
    """What a face detector leaves: a few degrees, a tenth of the size, a few pixels."""
    angle = np.deg2rad(rng.normal(0, 6))
    half = CANVAS * 0.46 * rng.uniform(0.88, 1.12)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    stretch = np.diag([rng.uniform(0.92, 1.08), 1.0])
    centre = CANVAS / 2 + rng.normal(0, CANVAS * 0.025, 2)
    return half * turn @ stretch, centre, float(rng.normal(0, 0.06))


def _background(rng: Generator) -> Bytes:
    """Soft patches of light and dark."""
    coarse = rng.uniform(0, 255, (3, 3)).astype(np.float32) * 0.5 + rng.uniform(0, 127)
    return np.asarray(
        cv2.resize(coarse, (CANVAS, CANVAS), interpolation=cv2.INTER_CUBIC).clip(0, 255), np.uint8
    )


def _draw_head(canvas: Canvas, skin: float, rng: Generator) -> None:
    """Hair behind, neck, ears, head, fringe, perhaps a beard."""
    width, jaw = rng.uniform(0.70, 0.80), rng.uniform(0.75, 1.05)
    hair = float(np.clip(rng.choice([25, 45, 70, 120, 190]) + rng.normal(0, 12), 5, 240))
    long_hair, bald = rng.random() < 0.4, rng.random() < 0.1
    x, y = np.cos(CIRCLE), np.sin(CIRCLE)
    narrow = np.where(y > 0, 1 - (1 - 0.72 * jaw) * y**2, 1.0)  # towards the chin
    if long_hair:
        canvas.fill(x * (width + 0.2), y * 1.15 + 0.12, hair, depth=-0.5)
    canvas.fill([-0.4, 0.4, 0.5, -0.5], [0.6, 0.6, 1.6, 1.6], skin * 0.72, depth=0.0)
    for side in (-1, 1):
        canvas.ellipse(side * width, 0.02, 0.09, 0.2, skin * 0.85, depth=-0.3)
    if not bald:
        canvas.fill(x * (width + 0.07), np.minimum(y * 1.08, 0.15) - 0.03, hair, depth=-0.2)
    canvas.fill(x * width * narrow, y * 1.0, skin, depth=0.2)
    for side, shade in zip((-1, 1), rng.uniform(0.88, 1.0, 2), strict=True):  # round cheeks
        edge = side * width * narrow * np.abs(x)
        canvas.fill(
            np.concatenate([edge[6:19], edge[18:5:-1] * 0.86]),
            np.concatenate([y[6:19], y[18:5:-1]]) * 0.98,
            skin * shade,
            depth=0.2,
        )
    if rng.random() < 0.18:  # beard or stubble along the jaw
        low = np.maximum(y, 0.2 + 0.42 * (1 - x**2))
        canvas.fill(x * width * narrow, low, skin * rng.uniform(0.5, 0.85), depth=0.2)
    if not bald:
        line, tilt = rng.uniform(-0.78, -0.55), rng.normal(0, 0.12)
        top = x * (width + 0.03)
        fringe = np.where(y > 0, line + tilt * x + 0.12 * np.abs(x), y * 1.05)
        canvas.fill(top, fringe, hair, depth=0.1)


def _draw_nose(canvas: Canvas, skin: float, units: dict[str, float], rng: Generator) -> None:
    length, width = rng.uniform(0.17, 0.25), rng.uniform(0.11, 0.17)
    wrinkle = max(0.0, units["nose"])
    tip = length - 0.05 * wrinkle
    side = rng.choice([-1, 1])
    canvas.stroke(
        [side * 0.06, side * 0.07, side * width * 0.8], [-0.18, 0.05, tip], skin * 0.82, 0.035, 1.2
    )
    canvas.stroke(width * T, tip + 0.03 - 0.03 * np.cos(3 * T), skin * 0.62, 0.04, 1.4)
    for nostril in (-1, 1):
        canvas.ellipse(nostril * width * 0.55, tip, 0.035, 0.025, skin * 0.4, 1.4)
    for k in range(3):  # wrinkles over the bridge
        y = -0.16 + 0.07 * k
        canvas.stroke(0.1 * T, y + 0.03 * T**2, skin * (1 - 0.4 * wrinkle), 0.03, 1.2)


def _draw_mouth(canvas: Canvas, skin: float, units: dict[str, float], rng: Generator) -> None:
    half = rng.uniform(0.24, 0.31) * (1 + 0.4 * units["width"])
    height = rng.uniform(0.50, 0.58) + 0.05 * max(0.0, units["open"])
    thick = rng.uniform(0.035, 0.07)
    lips = skin * rng.uniform(0.55, 0.8)
    arch = 1 - T**2
    gap = 0.26 * max(0.0, units["open"])
    lift = 0.07 * max(0.0, units["upper_lip"])
    line = height - 0.16 * units["corner"] * (T**2 - 0.4)
    upper, lower = line - (0.35 * gap + lift) * arch, line + gap * arch**0.7
    bow = 1 - 0.35 * np.exp(-((T / 0.2) ** 2))  # Cupid's bow
    x = half * T
    canvas.between(x, upper - thick * bow * arch**0.5, lower + 1.3 * thick * arch, lips, 1.1)
    if gap + lift > 0.025:
        canvas.between(x * 0.93, upper, lower, 28.0, 1.1)
        if units["teeth"] > 0.2:
            bite = np.minimum(lower, upper + 0.13 * units["teeth"] * arch**0.4)
            canvas.between(x * 0.93, upper, bite, skin * 0.4 + 150, 1.1)
    canvas.stroke(x, upper, skin * 0.35, 0.03, 1.1)
    canvas.stroke(0.5 * x, lower + 1.6 * thick + 0.03, skin * 0.82, 0.03, 1.1)  # under the lip
    fold = max(0.0, units["fold"])
    for side in (-1, 1):
        x, y = side * np.array([0.17, 0.27, half + 0.07]), [0.16, 0.3, float(line[0])]
        canvas.stroke(x, y, skin * (0.97 - 0.38 * fold), 0.035, 0.9)


def _draw_eyes(canvas: Canvas, skin: float, units: dict[str, float], rng: Generator) -> None:
    apart, height = rng.uniform(0.31, 0.37), rng.uniform(-0.20, -0.12)
    half = rng.uniform(0.125, 0.165)
    opening = rng.uniform(0.055, 0.075) * max(0.12, 1 + 0.9 * units["eye"])
    lower_lid = opening * max(0.1, 0.75 - 0.55 * units["squint"])
    iris, gaze = float(rng.uniform(25, 110)), rng.normal(0, 0.03)
    brow_grey = skin * rng.uniform(0.2, 0.6)
    brow_width, brow_height = rng.uniform(0.045, 0.085), rng.uniform(0.17, 0.22)
    glasses, frame = rng.random() < 0.18, float(rng.uniform(15, 90))
    arch = 1 - T**2
    for side in (-1, 1):
        x = side * apart + half * T
        upper, lower = height - opening * arch, height + lower_lid * arch
        canvas.ellipse(side * apart, height, 0.2, 0.13, skin * 0.93)  # the socket
        canvas.between(x, upper, lower, skin * 0.25 + 165, 1.0)
        for radius, grey in ((0.068, iris), (0.03, 12.0)):
            across = gaze + radius * np.cos(CIRCLE)
            lid = np.clip(1 - (across / half) ** 2, 0, 1)
            down = np.clip(radius * np.sin(CIRCLE), -opening * lid, lower_lid * lid)
            canvas.fill(side * apart + across, height + down, grey)
        canvas.stroke(x, upper, skin * 0.25, 0.035)
        canvas.stroke(x, lower, skin * 0.68, 0.02)
        inner = side * (apart - 0.19 - 0.05 * units["frown"])
        outer = side * (apart + 0.19)
        along = (T + 1) / 2  # 0 inner, 1 outer end
        raised = units["inner_brow"] * (1 - along) + units["outer_brow"] * along
        brow = height - brow_height - 0.11 * raised - 0.035 * np.sin(np.pi * along)
        canvas.stroke(inner + (outer - inner) * along, brow, brow_grey, brow_width)
        if units["frown"] > 0.2:
            crease = skin * (1 - 0.4 * units["frown"])
            canvas.stroke([side * 0.05, side * 0.06], [height - 0.2, height - 0.06], crease, 0.03)
        if glasses:
            rim = np.append(CIRCLE, CIRCLE[0])
            across, down = 0.24 * np.cos(rim), 0.2 * np.sin(rim)
            canvas.stroke(side * apart + across, height + 0.02 + down, frame, 0.035, 1.3)
    if glasses:
        canvas.stroke([-apart + 0.24, apart - 0.24], [height, height], frame, 0.035, 1.3)


def _occlude(canvas: Canvas, rng: Generator) -> None:
    """Sometimes a hand, a strand of hair or the picture's edge hides a part."""
    if rng.random() > 0.15:
        return
    around = rng.uniform(0, 2 * np.pi)
    centre = rng.uniform(0.7, 1.0) * np.array([np.cos(around), np.sin(around)])
    wide, high, grey = rng.uniform(0.15, 0.45), rng.uniform(0.15, 0.45), float(rng.uniform(20, 230))
    canvas.ellipse(centre[0], centre[1], wide, high, grey)


def _expose(image: Floats, rng: Generator) -> Bytes:
    """Light from one side, gamma, contrast, brightness, blur and noise of a camera."""
    line = np.linspace(-1, 1, SIDE)
    dx, dy = rng.normal(0, 0.12, 2)
    image = image * (1 + dx * line[None, :] + dy * line[:, None])
    image = 255 * np.clip(image / 255, 0, 1) ** rng.uniform(0.8, 1.3)
    image = image.mean() + (image - image.mean()) * rng.uniform(0.8, 1.15) + rng.normal(0, 10)
    image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.2, 0.9)))
    image = image + rng.normal(0, rng.uniform(1.0, 7.0), image.shape)
    return np.clip(np.round(image), 0, 255).astype(np.uint8)
