"""Command line: `python -m nas.doctor`: is this machine fit; what differs between two runs.

Each check gives findings, with what to do. What may hang or crash (Ray, the camera, torch) is tried
in a process of its own, with a time limit; those processes run beside the other checks.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from nas.common.cli import Parser, exit_code, say, show
from nas.common.environment import cpu_quota, package_version, scheduled_cores, usable_cores
from nas.common.errors import UserError, first_line
from nas.common.files import EXPERIMENTS
from nas.common.resources import MODELS

OK, WARN, FAIL = "ok", "warn", "fail"
GIB = 1 << 30
LITTLE_DISK, NO_DISK = 10 * GIB, 1 * GIB
SECONDS = {"torch": 60.0, "ray": 90.0, "camera": 15.0}


@dataclass(frozen=True)
class Finding:
    """level: ok, warn (something will not work) or fail (nothing will). advice: what to do."""

    check: str
    level: str
    found: str
    advice: str = ""


Check = Callable[[], Iterator[Finding]]


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    if args.compare:
        return _compare(args)
    return examine({**CHECKS, "ray": ray_starts} if args.ray else CHECKS, args.json)


def _parser() -> Parser:
    parser = Parser(
        "nas.doctor", "Check this machine and say what to fix; exit code 1 when something fails."
    )
    add = parser.add_argument
    add("--compare", nargs=2, metavar="RUN", help="say instead what differs between two runs")
    add("--ray", action="store_true", help="start Ray too, and run a task (some 10 s)")
    parser.add_json()
    return parser


def _compare(args: argparse.Namespace) -> int:
    from nas.search.comparison import differences

    lines = differences(*map(Path, args.compare))
    show(lines, args.json, lambda: "\n".join(lines) or "no difference but the time they took")
    return int(bool(lines))


def examine(checks: Mapping[str, Check], as_json: bool) -> int:
    """Run the checks and print what they find. Exit code 1 where one fails."""
    found = []
    for finding in findings(checks):
        found.append(finding)
        if not as_json:
            say(f"{finding.level:4}  {finding.check}: {finding.found}")
            if finding.advice:
                say(f"      -> {finding.advice}")
    if as_json:
        show([dataclasses.asdict(finding) for finding in found], True, str)
    return int(any(finding.level == FAIL for finding in found))


def findings(checks: Mapping[str, Check]) -> Iterator[Finding]:
    """What every check finds, in their order; one that breaks is a failure of its own.

    Side by side are the checks that ask a process, and wait. The others run here, one after
    another: threads that import NumPy and OpenCV at once see modules that are half made.
    """
    with ThreadPoolExecutor(len(checks)) as pool:
        asked = {
            name: pool.submit(lambda c: list(c()), check)
            for name, check in checks.items()
            if check in ASK_A_PROCESS
        }
        for name, check in checks.items():
            try:
                yield from asked[name].result() if name in asked else check()
            except Exception as error:
                yield Finding(name, FAIL, f"{type(error).__name__}: {first_line(error)}")


def install() -> Iterator[Finding]:
    fix = "pip install -e . in the checkout"
    try:
        about = metadata.metadata("fer-nas")
    except metadata.PackageNotFoundError:
        yield Finding("install", WARN, "fer-nas is not installed, only importable", fix)
        return
    version = ".".join(map(str, sys.version_info[:3]))
    wanted = SpecifierSet(about["Requires-Python"])
    if version not in wanted:
        yield Finding("python", FAIL, f"{version}; needs {wanted}", "use another Python")
    else:
        yield Finding("python", OK, version)
    wrong, count = [], 0
    for line in metadata.requires("fer-nas") or []:
        need = Requirement(line)
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue
        count += 1
        found = package_version(need.name)
        if found == "missing" and need.name == "opencv-python":
            found = package_version("opencv-python-headless")  # does as well on a server
        if found == "missing" or not need.specifier.contains(found, prereleases=True):
            wrong.append(f"{need.name} {found} (needs {need.specifier or 'any'})")
    if wrong:
        yield Finding("packages", FAIL, ", ".join(wrong), fix)
    else:
        yield Finding("packages", OK, f"all {count} as declared")


def cores() -> Iterator[Finding]:
    present, scheduled, quota = os.cpu_count() or 1, scheduled_cores(), cpu_quota()
    found = f"{usable_cores()} of {present} usable"
    if quota is not None and quota < scheduled:
        found += f" (the container's quota is {quota:g})"
    elif scheduled < present:
        found += " (taskset or a scheduler decides)"
    yield Finding("cores", OK, found)


def torch_works() -> Iterator[Finding]:
    code = (
        "import torch; t = torch; c = t.cuda.is_available(); "
        "print(t.__version__, t.get_num_threads(), float((t.ones(3, 3) @ t.ones(3, 3)).sum()), "
        "t.cuda.get_device_name(0).replace(' ', '_') if c else '-')"
    )
    said, why = answer_of(code, SECONDS["torch"])
    if said is None:
        yield Finding("torch", FAIL, why, "reinstall torch (README, quick start)")
        return
    version, threads, _, gpu = said.split()
    cores = usable_cores()
    if int(threads) > cores:
        advice = f"unset OMP_NUM_THREADS, or set it to {cores}: more threads than cores wait"
        yield Finding("torch", WARN, f"{version}, {threads} threads on {cores} cores", advice)
    else:
        yield Finding("torch", OK, f"{version}, {threads} threads")
    if gpu != "-":
        yield Finding("gpu", OK, gpu.replace("_", " "))
    elif shutil.which("nvidia-smi"):
        advice = "install a torch built for CUDA, or update the driver"
        yield Finding("gpu", WARN, "a driver is installed, but torch sees no GPU", advice)
    else:
        yield Finding("gpu", OK, "none; everything runs on the CPU")


def ray_imports() -> Iterator[Finding]:
    said, why = answer_of("import ray; print(ray.__version__)", SECONDS["ray"])
    if said is None:
        yield Finding("ray", FAIL, why, "--workers 1 does without it")
    else:
        yield Finding("ray", OK, f"{said}: imported; nas.doctor --ray starts it too")


def ray_starts() -> Iterator[Finding]:
    code = (
        "from nas.search.cluster import RaySession; session = RaySession(None, 1); "
        "ray = session.ray; "
        "print(ray.__version__, ray.get(ray.remote(lambda: 6 * 7).remote())); session.close()"
    )
    said, why = answer_of(code, SECONDS["ray"])
    if said is None or said.split()[1:] != ["42"]:
        advice = "--workers 1 does without it"
        yield Finding("ray", FAIL, why or f"answered {said}", advice)
    else:
        yield Finding("ray", OK, f"{said.split()[0]}: started and ran a task")


def onnx_runs() -> Iterator[Finding]:
    """The files that ship against their probes: int8 is wrong on some CPUs, the demo must know."""
    from nas.deploy.runtime import open_model

    for path in map(MODELS.path, MODELS.names()):
        probed = open_model(path).check()
        if probed is None:
            yield Finding(path.name, WARN, "has no probes", "export it anew with nas.export")
            continue
        found = f"logits of its probes off by {probed.difference:.1%}, allowed {probed.limit:.0%}"
        if probed.ok:
            yield Finding(path.name, OK, f"right on this CPU: {found}")
        elif not path.stem.endswith(".int8"):
            advice = "reinstall onnxruntime: this CPU computes another network"
            yield Finding(path.name, FAIL, f"wrong on this CPU: {found}", advice)
        else:
            advice = "nothing to do: nas.realtime takes float32 here by itself"
            yield Finding(path.name, WARN, f"wrong on this CPU: {found}", advice)
    version = package_version("onnxruntime")
    yield Finding("onnx runtime", OK, f"{version}: ran the networks that ship")


def finds_faces() -> Iterator[Finding]:
    import cv2

    from nas.realtime.detector import HaarDetector

    if HaarDetector().cascade.empty():
        advice = "pip install 'opencv-python>=4.9,<5'"
        yield Finding("face cascade", FAIL, f"not in OpenCV {cv2.__version__}", advice)
    else:
        yield Finding("face cascade", OK, f"OpenCV {cv2.__version__}")


def camera_works() -> Iterator[Finding]:
    code = "import cv2; c = cv2.VideoCapture(0); print(c.isOpened() and c.read()[0])"
    said, why = answer_of(code, SECONDS["camera"])
    if said == "True":
        yield Finding("camera", OK, "camera 0 gives pictures")
    else:
        advice = "plug one in, or let nas.realtime read a file: --source FILE"
        yield Finding("camera", WARN, why or "camera 0 cannot be opened", advice)


def display() -> Iterator[Finding]:
    name = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if name or not sys.platform.startswith("linux"):
        yield Finding("display", OK, name or sys.platform)
    else:
        advice = "nas.realtime opens no window here: use --headless --out FILE"
        yield Finding("display", WARN, "none", advice)


def data_sets() -> Iterator[Finding]:
    from nas.data import DATA, load

    files = sorted(path for path in DATA.glob("*.npz") if path.is_file())
    if not files:
        advice = "python -m nas.data prepare fer2013 --from fer2013.csv.gz"
        yield Finding("data", WARN, "none prepared; synthetic faces are used", advice)
    for path in files:
        try:
            dataset = load(path)
        except UserError as error:
            yield Finding("data", FAIL, str(error), "prepare it again")
        else:
            yield Finding("data", OK, f"{path}: {len(dataset)} images, {dataset.fingerprint}")


def disk_space() -> Iterator[Finding]:
    free = shutil.disk_usage(".").free
    level = FAIL if free < NO_DISK else WARN if free < LITTLE_DISK else OK
    advice = "" if level == OK else "free some space: a search waits when the disk is full"
    yield Finding("disk", level, f"{free / GIB:.0f} GiB free", advice)


def can_write() -> Iterator[Finding]:
    try:
        with tempfile.TemporaryFile(dir=EXPERIMENTS if EXPERIMENTS.exists() else "."):
            yield Finding("experiments", OK, f"{EXPERIMENTS}/ can be written")
    except OSError as error:
        advice = "run from a folder of yours, or pass --run-dir"
        yield Finding("experiments", FAIL, f"{EXPERIMENTS}: {error.strerror}", advice)


def answer_of(code: str, seconds: float) -> tuple[str | None, str]:
    """(what a Python process printed last, ""), or (None, why there is nothing)."""
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            out, complaints = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            _kill_family(process)
            return None, f"no answer within {seconds:g} s"
    lines = out.strip().splitlines()
    if process.returncode or not lines:
        errors = [line for line in complaints.splitlines() if re.match(r"\S*(Error|Exc)", line)]
        return None, errors[-1] if errors else f"exit code {process.returncode}"
    return lines[-1], ""


def _kill_family(process: subprocess.Popen[str]) -> None:
    """With its children, which hold the pipes that we read (Ray's have groups of their own)."""
    if sys.platform == "win32":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)


ASK_A_PROCESS: frozenset[Check] = frozenset({torch_works, ray_imports, ray_starts, camera_works})
CHECKS: dict[str, Check] = {  # those that ask a process last: they answer while others run
    "install": install, "cores": cores, "onnx runtime": onnx_runs, "face cascade": finds_faces,
    "display": display, "data": data_sets, "disk": disk_space, "experiments": can_write,
    "torch": torch_works, "camera": camera_works, "ray": ray_imports,
}  # fmt: skip

if __name__ == "__main__":
    sys.exit(exit_code(main))
