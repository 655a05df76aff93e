"""Which class and split each picture of a source has: class folders, or a data set as delivered.

JAFFE, KDEF, CK+, RAF-DB and AffectNet are recognised by the names of their files.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from nas.common.errors import UserError, did_you_mean, quoted
from nas.common.expressions import SYNONYMS, folded
from nas.common.images import HEAD, is_picture
from nas.data.affectnet import affectnet
from nas.data.dataset import MAX_CLASSES
from nas.data.files import File, Source
from nas.data.intake import listed
from nas.data.labelled import SPLIT_FOLDERS, Labelled, Picture, read_list, read_number

LAYOUT = "CLASS/picture, or train|val|test/CLASS/picture"
CODE = "(?P<emotion>AF|AN|DI|FE|HA|NE|SA|SU)"
JAFFE = re.compile(rf"(?P<subject>[A-Z]{{2}})[.-]{CODE}\d[.-]\d+")  # KA.AN1.39.tiff
KDEF = re.compile(rf"[AB](?P<subject>[FM]\d{{2}}){CODE}(?:S|HL|HR|FL|FR)")  # AF01ANS.JPG
CK = re.compile(r"(?P<subject>S\d{3})_\d{3}_\d{8}")  # S010_004_00000017.png
CK_EMOTION = re.compile(r"(?P<sequence>S\d{3}_\d{3})_\d{8}_emotion\.txt")
CK_CODES = ("neutral", "angry", "contempt", "disgust", "fear", "happy", "sad", "surprise")
CK_PEAK = 3  # frames at the end of a sequence that show its expression, as most papers take them
RAF = re.compile(r"(?P<split>train|test)_\d{4,6}(?P<aligned>_aligned)?\.jpg")
RAF_LISTS = ("list_patition_label.txt", "list_partition_label.txt")  # the first is theirs
RAF_CODES = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")  # from 1
PACKED = (".zip", ".rar", ".7z", ".tar", ".tgz", ".tar.gz")


def subject_of(file_name: str) -> str | None:
    """Who is on the picture, where the name tells: `KA.AN1.39.tiff` -> `KA`."""
    for pattern in (JAFFE, CK, KDEF):
        if found := pattern.match(file_name):
            return found["subject"]
    return None


def label_pictures(source: Source) -> Labelled:
    """UserError where no layout fits; what has no place in one is added to source.left_out."""
    pictures = [file for file in source.files if _is_picture(file)]
    taken = set(pictures)
    others = [file for file in source.files if file not in taken]
    found = (
        _by_code("JAFFE", JAFFE, source, pictures)
        or _by_code("KDEF", KDEF, source, pictures)  # all five angles
        or _ck(source, pictures, others)
        or _raf_list(source, pictures, others)
        or affectnet(source, pictures, others)
        or _class_folders(source, pictures)
    )
    for file in others:
        source.left_out["no picture"].append(file.name)
    if not 2 <= len(found.classes) <= MAX_CLASSES:
        raise UserError(
            f"{source.path}: found pictures of {len(found.classes)} classes "
            f"({quoted(found.classes[:8])}); expected 2 to {MAX_CLASSES} ({LAYOUT})"
        )
    if found.pictures[0].split is not None:
        _check_splits(source, found)
    order = sorted(found.pictures, key=lambda p: (p.split or 0, p.label, p.file.parts))
    return replace(found, pictures=tuple(order))


def _check_splits(source: Source, found: Labelled) -> None:
    trained = {picture.label for picture in found.pictures if picture.split == 0}
    for picture in found.pictures:
        if picture.label not in trained:
            raise UserError(
                f"{source.path}: {picture.file.name}: {picture.label!r} is no class of the train "
                f"part: {quoted(sorted(trained)) or 'it has none'}"
                f"{did_you_mean(picture.label, trained)}"
            )


def _is_picture(file: File) -> bool:
    try:
        head = file.read(HEAD)
    except UserError:
        head = b""  # its name decides; reading it again says what is wrong
    return is_picture(file.parts[-1], head)


def _by_code(
    layout: str, pattern: re.Pattern[str], source: Source, pictures: Sequence[File]
) -> Labelled | None:
    """The class is a code in the file's name, unless there are class folders.

    All pictures are in one folder, or in a folder for each subject and session (KDEF's AF01).
    """
    folders = {file.parts[:-1] for file in pictures}
    if len(folders) > 1 and not all(f and re.fullmatch(r"[AB][FM]\d{2}", f[-1]) for f in folders):
        return None
    matches = {file: pattern.match(file.parts[-1]) for file in pictures}
    if not any(matches.values()):
        return None
    labelled = []
    for file, match in matches.items():
        if match:
            labelled.append(Picture(file, SYNONYMS[match["emotion"].lower()]))
        else:
            source.left_out[f"no {layout} name"].append(file.name)
    return Labelled(layout, tuple(labelled))


def _ck(source: Source, pictures: Sequence[File], others: Sequence[File]) -> Labelled | None:
    """Sequences from neutral to an expression, which stands in a text file for some of them."""
    emotions = {
        match["sequence"]: read_number(file, source, CK_CODES)
        for file in others
        if (match := CK_EMOTION.fullmatch(file.parts[-1]))
    }
    if not emotions:
        return None
    sequences: dict[str, list[File]] = defaultdict(list)
    for file in pictures:
        sequences[file.parts[-1][:8]].append(file)
    labelled = []
    for name, frames in sequences.items():
        label = emotions.get(name)
        frames.sort(key=lambda file: file.parts[-1])
        peak = frames[max(1, len(frames) - CK_PEAK) :] if label else []
        labelled += [Picture(frame, label) for frame in peak if label]
        labelled += [Picture(frames[0], "neutral")] if label else []
        rest = frames[1 : len(frames) - len(peak)] if label else frames
        why = "between neutral and peak" if label else "sequence without an expression"
        source.left_out[why] += [frame.name for frame in rest]
    return Labelled("CK+", tuple(labelled))


def _raf_list(source: Source, pictures: Sequence[File], others: Sequence[File]) -> Labelled | None:
    lists = [file for file in others if folded(file.parts[-1]) in RAF_LISTS]
    if not lists:
        return None
    labels, where = {}, f"{source.path}: {lists[0].name}"
    for number, line in enumerate(read_list(lists[0], source).splitlines(), 1):
        name, _, code = line.strip().rpartition(" ")
        if not line.strip():
            continue
        if not RAF.fullmatch(name) or code not in tuple("1234567"):
            raise UserError(f"{where}:{number}: expected a line like train_00001.jpg 5")
        labels[name] = RAF_CODES[int(code) - 1]
    aligned = any("_aligned" in file.parts[-1] for file in pictures)
    labelled = []
    for file in pictures:
        match = RAF.fullmatch(file.parts[-1])
        label = labels.get(file.parts[-1].replace("_aligned", ""))
        if not match or not label:
            source.left_out["not in RAF-DB's list"].append(file.name)
        elif aligned and not match["aligned"]:
            source.left_out["original of an aligned picture"].append(file.name)
        else:
            labelled.append(Picture(file, label, SPLIT_FOLDERS[match["split"]]))
    note = f"{len(labels) - len(labelled)} pictures of {lists[0].name} are missing"
    return Labelled("RAF-DB", tuple(labelled), (note,) if len(labels) > len(labelled) else ())


def _class_folders(source: Source, pictures: Sequence[File]) -> Labelled:
    """The folder says the class, whatever lies between it and the picture."""
    inside = []
    for file in pictures:
        if len(file.parts) == 1:
            source.left_out["beside the class folders"].append(file.name)
        else:
            inside.append((file, file.parts[:-1]))
    while inside and len({folders[0] for _, folders in inside}) == 1:
        if any(len(folders) == 1 for _, folders in inside):
            break  # the only folder holds pictures itself
        inside = [(file, folders[1:]) for file, folders in inside]  # a wrapper, `archive/...`
    if not inside:
        packed = [file.name for file in source.files if file.name.lower().endswith(PACKED)]
        advice = (
            f"unpack {packed[0]} first"
            if packed
            else "a FER2013 with its CSV: python -m nas.data prepare fer2013 --from FILE"
        )
        raise UserError(
            f"{source.path}: found {len(pictures)} pictures and no class folders ({LAYOUT}); "
            f"{advice}"
        )
    tops = {folded(folders[0]) for _, folders in inside}
    if tops & set(SPLIT_FOLDERS):
        labelled = _given_splits(source, inside, tops)
    else:
        labelled = [(folders[0], Picture(file, "")) for file, folders in inside]
        below = [set(map(folded, folders[1:2])) for _, folders in inside]
        if all(names and names <= set(SPLIT_FOLDERS) for names in below):
            raise UserError(f"{source.path}: found CLASS/train/...; expected train/CLASS/picture")
    return _merged(labelled)


def _given_splits(
    source: Source, inside: list[tuple[File, tuple[str, ...]]], tops: set[str]
) -> list[tuple[str, Picture]]:
    if unknown := sorted(tops - set(SPLIT_FOLDERS)):
        raise UserError(
            f"{source.path}: found folder {unknown[0]!r} beside {sorted(tops - set(unknown))}; "
            f"expected {LAYOUT}"
        )
    labelled = []
    for file, folders in inside:
        if len(folders) == 1:
            source.left_out["beside the class folders"].append(file.name)
        else:
            labelled.append((folders[1], Picture(file, "", SPLIT_FOLDERS[folded(folders[0])])))
    if all(re.fullmatch("[1-7]", name) and RAF.fullmatch(p.file.parts[-1]) for name, p in labelled):
        return [(RAF_CODES[int(name) - 1], picture) for name, picture in labelled]  # RAF-DB's codes
    return labelled


def _merged(labelled: list[tuple[str, Picture]]) -> Labelled:
    """Class folders that differ in case or white space alone are one class, named without both."""
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    pictures = []
    for name, picture in labelled:
        spellings[folded(name)][name] += 1
        pictures.append(replace(picture, label=folded(name)))
    merged = [
        " and ".join(f"{name!r} ({n})" for name, n in names.items())
        for names in spellings.values()
        if len(names) > 1
    ]
    notes = (f"folders taken as one class: {listed(merged)}",) if merged else ()
    return Labelled("class folders", tuple(pictures), notes)
