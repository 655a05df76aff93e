"""The model card that travels with a model (Mitchell et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nas.common.aliases import current_names
from nas.common.expressions import are_expressions

Report = dict[str, Any]  # of nas.deploy.retrain


def model_card(report: Report, export: dict[str, Any] | None = None) -> str:
    """Markdown from the report of nas.deploy.retrain and the result of nas.deploy.export.

    What it says of faces, and of FER2013, is said only of models of those.
    """
    data, cost, faces = report["data"], report["cost"], _of_faces(report)
    return "\n\n".join([
        f"# Model card: {report['genome']} on {data['name']}",
        _warning(data),
        f"A convolutional network found or given as genome `{report['genome']}` (genome.json): "
        f"{cost['params']:,} parameters, {cost['macs']:,} multiply-accumulates for one image, "
        f"{report['fps']:.0f} frames a second in ONNX Runtime on the machine that trained it "
        f"(classification alone, batch 1, one thread). It maps one {_input(report)} to the "
        f"probabilities of {', '.join(_classes(report))}.",
        "## Training data\n\n" + _training_data(report),
        "## Results\n\n" + _results(report),
        "## Intended use\n\n" + (USE_OF_FACES if faces else USE),
        "## Not to be used\n\n" + (MISUSE_OF_FACES if faces else MISUSE),
        "## Known bias and limits\n\n" + _limits(report),
        "## Files\n\n"
        "- `model.onnx`: float32; the preprocessing stands in its metadata. Against torch on "
        f"{report['onnx_parity']['images']} images: logits differ by at most "
        f"{report['onnx_parity']['max_difference']:.1g}, "
        f"{report['onnx_parity']['same_labels']:.1%} of labels are the same.\n"
        + _int8(export) +
        "- Where it was trained: `model.safetensors`, the same weights for torch; `genome.json`, "
        "the architecture; `report.json`, every figure, the recipe, the environment and the "
        "command.\n\n"
        f"Run it: `{run_line('model.onnx', _classes(report))}`",
    ]).replace("\n\n\n\n", "\n\n") + "\n"  # fmt: skip


USE_OF_FACES = (
    "Research on networks for facial expression recognition, teaching, and demonstrations with "
    "people who know of it and agree."
)
USE = "Research and teaching, on pictures like those that it was trained on."
MISUSE_OF_FACES = (
    "Not at work or at school to infer anyone's emotions: Regulation (EU) 2024/1689, Article "
    "5(1)(f), prohibits that, medical and safety reasons apart. Nor for surveillance, hiring, "
    "medical, insurance or law enforcement decisions, nor on people who did not agree."
)
MISUSE = (
    "Not where a wrong answer harms someone: no decision about people, health or safety was "
    "tested. A picture of anything else than these classes is still given one of them."
)


def run_line(model: object, classes: Iterable[str]) -> str:
    """The command that shows a model at work: the demo looks for faces, and shows it those."""
    if are_expressions(classes):
        return f"python -m nas.realtime --model {model} --source 0"
    return f"python -m nas.evaluate --model {model} --data FOLDER"


def _classes(report: Report) -> list[str]:
    return list(report["test"]["per_class"])


def _of_faces(report: Report) -> bool:
    return are_expressions(_classes(report))


def _of_fer2013(report: Report) -> bool:
    """FER2013 under any name, or FERPlus: only their readers say whether splits are official."""
    return "official_splits" in report["data"]["provenance"]


def _input(report: Report) -> str:
    what = "face crop" if _of_faces(report) else "picture"
    if "input" not in report:  # of version 0.1
        return what
    size = report["input"]
    tone = "grey" if size["channels"] == 1 else "colour"
    return f"{tone} {what} of {size['height']}x{size['width']} pixels"


def _int8(export: dict[str, Any] | None) -> str:
    if export is None:
        return ""
    full, int8 = export["files"][:2]
    return (
        f"- `{int8['file']}`: int8, {int8['bytes']:,} bytes instead of {full['bytes']:,}; "
        f"calibrated on {export['calibration_images']} training images. Validation accuracy "
        f"{100 * int8['accuracy']:.2f} % (float32 {100 * full['accuracy']:.2f} %), "
        f"{int8['same_labels']:.1%} of labels as torch gives them; {int8['fps']:,.0f} frames a "
        f"second (float32 {full['fps']:,.0f}) on the machine that exported it.\n"
    )


def _warning(data: dict[str, Any]) -> str:
    if data["provenance"].get("synthetic"):
        return (
            "**Trained on SYNTHETIC faces drawn by code. Its accuracy says nothing about real "
            "faces; do not show it to anyone as a working model.**"
        )
    return ""


def _training_data(report: Report) -> str:
    data = report["data"]
    counts = data["counts"]
    lines = [
        f"- {split}: {sum(found.values()):,} images ("
        + ", ".join(f"{name} {n:,}" for name, n in found.items())
        + ")"
        for split, found in counts.items()
    ]
    copies = data["duplicates"]["copies_in_train"]
    lines.append(
        f"- exact copies: {data['duplicates']['distinct']:,} of {data['duplicates']['images']:,} "
        "images are distinct; "
        + ", ".join(f"{n} of the {split} images" for split, n in copies.items())
        + " are in train too"
    )
    recipe = current_names("Recipe", report["recipe"])
    if recipe.get("teacher") or report.get("teachers"):
        lines.append(
            f"- taught by other networks too: {100 * recipe['distill']:.0f} % of the loss is the "
            "distance to their answers (soft labels)"
        )
    chosen = report.get("choice", "chosen on the validation split")
    if validation_trained_on(report):
        chosen = "the last: the validation images were trained on, so they could not choose"
    lines.append(
        f"- trained {report['epochs_trained']} epochs, seed {report['seed']}; the weights are "
        f"those of epoch {report['best_epoch']}, {chosen}"
    )
    return "\n".join(lines)


def _results(report: Report) -> str:
    lines = [
        "| split | images | accuracy % | 95 % interval | macro F1 % | weighted F1 % |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    validation = "validation (trained on)" if validation_trained_on(report) else "validation"
    rows = {validation: report["validation"], "test": report["test"]}
    rows |= {f"{name}, {views['views']} views": views for name, views in several_views(report)}
    for split, found in rows.items():
        low, high = found["accuracy_interval"]
        lines.append(
            f"| {split} | {found['n']:,} | {100 * found['accuracy']:.2f} | {100 * low:.1f} to "
            f"{100 * high:.1f} | {100 * found['macro_f1']:.2f} | {100 * found['weighted_f1']:.2f} |"
        )
    lines += ["", "Test, per class:", "", "| class | precision % | recall % | F1 % | images |",
              "| --- | --- | --- | --- | --- |"]  # fmt: skip
    for name, found in report["test"]["per_class"].items():
        figures = " | ".join(
            f"{100 * found[k]:.1f}" if found["support"] else "-"
            for k in ("precision", "recall", "f1")
        )
        lines.append(f"| {name} | {figures} | {found['support']} |")
    spread = report["seeds"]["test"]["accuracy"]
    if spread["std"] is not None:
        how = "the first" if validation_trained_on(report) else "chosen on validation"
        lines += ["", f"Over {len(report['seeds']['list'])} seeds: test accuracy "
                  f"{100 * spread['mean']:.2f} % +- {100 * spread['std']:.2f} (sample standard "
                  f"deviation). The figures above are those of seed {report['seed']}, which ships: "
                  f"{how}."]  # fmt: skip
    else:
        lines += ["", "One seed: differences of a point or less to other models mean nothing."]
    return "\n".join(lines)


def several_views(report: Report) -> list[tuple[str, dict[str, Any]]]:
    """(split, figures by the recipe's views): what the log shows and chooses by, where that is so.

    Reports of before have none of validation.
    """
    found = ((split, report.get(f"{split}_with_views")) for split in ("validation", "test"))
    return [(split, {"n": report[split]["n"], **views}) for split, views in found if views]


def validation_trained_on(report: Report) -> bool:
    """Whether its validation figures are of images that were trained on."""
    recipe = current_names("Recipe", report.get("recipe", {}))
    return bool(recipe.get("train_on") == "train+validation")


def _limits(report: Report) -> str:
    per_class = report["test"]["per_class"]
    tested = [name for name in per_class if per_class[name]["support"]]
    untested = [name for name in per_class if name not in tested]
    weakest = min(tested, key=lambda name: per_class[name]["recall"])
    lines = [
        f"Weakest class: {weakest}, recall {100 * per_class[weakest]['recall']:.1f} % on the test "
        "split."
    ]
    if untested:
        lines.append(f"Not tested, without a test image: {', '.join(untested)}.")
    if _of_fer2013(report):
        lines.append(
            "FER2013 was collected by web search and labelled roughly (human accuracy about 65 %); "
            "its age, gender and skin tone mix is unknown and skewed, so are the errors for groups "
            "of people. `disgust` has 1.5 % of its images."
        )
    elif _of_faces(report):
        lines.append(
            "The age, gender and skin tone mix of the training data was not measured; nor were "
            "the errors for groups of people."
        )
    if _of_faces(report):
        lines.insert(0, "An expression on a face is not the emotion behind it.")
        lines.append(
            "Posed and strong expressions prevail; light, pose and glasses unlike those of the "
            "training faces lower the accuracy by an amount that was not measured."
        )
    else:
        lines.append(
            "Light, backgrounds and cameras unlike those of the training pictures lower the "
            "accuracy by an amount that was not measured."
        )
    return "\n".join(f"- {line}" for line in lines)
