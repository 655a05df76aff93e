"""The page in a real browser, with a real face; the server that hands it out."""

import base64
import http.client
import json
import os
import shutil
import socket
import threading
import time
from contextlib import contextmanager

import cv2
import matplotlib
import numpy as np
import onnx
import pytest
import torch
from chromium import chromium, need
from clips import write_clip

from nas.arch.genome import Conv, Genome, Head, Input, Stage
from nas.arch.module import build
from nas.arch.onnx import to_onnx
from nas.common.cli import exit_code
from nas.common.errors import UserError
from nas.common.resources import SHIPPED_MODEL
from nas.common.web import HOST, MAX_CONNECTIONS
from nas.deploy.preprocessing import ModelInfo
from nas.realtime import Recognizer, web
from nas.realtime import __main__ as command
from nas.realtime.boxes import shared_area
from nas.realtime.crop import crop_face
from nas.realtime.smoothing import Smoother

# Grace Hopper, official portrait (public domain), which matplotlib carries.
PORTRAIT = os.path.join(matplotlib.get_data_path(), "sample_data", "grace_hopper.jpg")


@contextmanager
def served(model):
    with web.server(model, 0) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture(scope="module")
def server():
    need((web.RUNTIME / "ort.wasm.min.mjs").is_file(), "ONNX Runtime Web; run: make web")
    with served(SHIPPED_MODEL) as running:
        yield running


def test_the_lock_file_pins_contents_and_names_no_registry():
    lock = json.loads((web.PAGE / "package-lock.json").read_text())
    packages = [entry for name, entry in lock["packages"].items() if name]
    assert all(entry["integrity"].startswith("sha512-") for entry in packages)
    assert not any("resolved" in entry for entry in packages)


def ask(server, path, method="GET", host=None):
    connection = http.client.HTTPConnection(HOST, server.server_port, timeout=10)
    headers = {"Host": host} if host else {}
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def test_only_listed_files_are_served(server):
    answer, body = ask(server, "/")
    assert answer.status == 200
    assert b"Expressions of faces" in body
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy  # no other host is allowed anything
    assert ask(server, "/model.onnx")[1] == SHIPPED_MODEL.read_bytes()
    assert ask(server, "/vendor/ort-wasm-simd-threaded.wasm", "HEAD")[1] == b""
    for path in ("/../pyproject.toml", "/%2e%2e/web.py", "/etc/passwd", "/package.json", "//x"):
        assert ask(server, path)[0].status == 404, path
    assert ask(server, "/", "POST")[0].status == 501
    assert ask(server, "/", "PUT")[0].status == 501


def test_other_names_of_this_machine_are_refused(server):
    """A page elsewhere whose name resolves to 127.0.0.1 must not read ours."""
    assert ask(server, "/model.json", host=f"evil.test:{server.server_port}")[0].status == 403
    assert ask(server, "/model.json", host=f"localhost:{server.server_port}")[0].status == 200
    assert server.server_address[0] == "127.0.0.1"


def test_connections_are_bounded(server):
    address = (HOST, server.server_port)
    idle = [socket.create_connection(address) for _ in range(MAX_CONNECTIONS)]
    try:
        time.sleep(0.2)
        with socket.create_connection(address, timeout=5) as one_more:
            assert one_more.recv(1) == b""  # closed at once
    finally:
        for each in idle:
            each.close()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:  # the idle ones make room again
        try:
            assert ask(server, "/")[0].status == 200
            return
        except (ConnectionError, http.client.HTTPException):
            time.sleep(0.05)
    pytest.fail("no room after the idle connections left")


def test_what_is_refused(server, tmp_path, monkeypatch, capsys):
    taken = str(server.server_port)
    cases = [
        (["--web", taken], f"port {taken}: Address already in use"),
        (["--web", "70000"], "--web: must be in [0, 65535], got 70000"),
        (["--web", "--model", tmp_path / "no.onnx"], "no such file"),
    ]
    for argv, message in cases:
        assert exit_code(command.main, [str(a) for a in argv]) == 2, argv
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert message in lines[0]
    monkeypatch.setattr(web, "RUNTIME", tmp_path)
    with pytest.raises(UserError, match="fetch it once with: make web"):
        web.files(SHIPPED_MODEL)


def test_files_of_others_beside_a_model_do_no_harm(server, tmp_path):
    """A README that is no text, and a pipe; the card is found all the same."""
    for path in (SHIPPED_MODEL, SHIPPED_MODEL.with_name("MODEL_CARD.md")):
        shutil.copy(path, tmp_path / path.name)
    (tmp_path / "A.md").write_bytes(b"\xff\xfe")
    os.mkfifo(tmp_path / "B.md")
    about = json.loads(web.files(tmp_path / SHIPPED_MODEL.name)["/model.json"])
    assert about["card"] == (tmp_path / "MODEL_CARD.md").read_text()


@pytest.fixture(scope="module")
def portrait(tmp_path_factory):
    """As PNG: every decoder gives the same pixels."""
    path = tmp_path_factory.mktemp("portrait") / "portrait.png"
    cv2.imwrite(str(path), cv2.imread(PORTRAIT))
    return path


@pytest.fixture(scope="module")
def browser(portrait):
    """Headless Chromium whose camera films the portrait."""
    frame = cv2.resize(cv2.imread(str(portrait)), (320, 376))
    film = portrait.with_suffix(".y4m")
    raw = cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420).tobytes()
    film.write_bytes(b"YUV4MPEG2 W320 H376 F10:1 C420\n" + 10 * (b"FRAME\n" + raw))
    with chromium(
        "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
        "disable-component-update", "disable-sync", "use-fake-ui-for-media-stream",
        "use-fake-device-for-media-stream", f"use-file-for-fake-video-capture={film}",
        f"user-data-dir={portrait.parent / 'profile'}",
    ) as driver:  # fmt: skip
        yield driver


@pytest.fixture
def page(browser, server):
    browser.get(server.url)
    wait_for(browser, "ready")
    return browser


def wait_for(page, state, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = page.execute_script("return document.body.dataset.state")
        if found == state:
            return
        time.sleep(0.05)
    pytest.fail(f"the page is {found}, not {state}: {status(page)} {page.get_log('browser')}")


def status(page):
    return page.execute_script("return document.getElementById('status').textContent")


def upload(page, path):
    page.find_element("id", "file").send_keys(str(path))


def faces(page):
    """[(label, box, probabilities)] that the page shows."""
    return page.execute_script("""
        return [...document.querySelectorAll(".face")].map((face) => [
          face.querySelector("h2").textContent,
          face.dataset.box.split(",").map(Number),
          [...face.querySelectorAll("li")].map((row) => Number(row.dataset.probability)),
        ]);""")


def requests(page):
    script = "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    return page.execute_script(script)


@pytest.fixture(scope="module")
def group(portrait, tmp_path_factory):
    """Faces of several sizes in one picture that is larger than any screen; one is cut off."""
    face = cv2.imread(str(portrait))
    picture = np.full((1100, 1700, 3), 90, np.uint8)
    for x, y, scale in ((20, 30, 0.5), (420, 60, 1.0), (1000, 400, 1.1), (1150, 10, 0.35)):
        part = cv2.resize(face, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        room = picture[y : y + part.shape[0], x : x + part.shape[1]]
        room[:] = part[: room.shape[0], : room.shape[1]]
    path = tmp_path_factory.mktemp("group") / "group.png"
    cv2.imwrite(str(path), picture)
    return path


def on_desktop(path):
    """What the page must show, [(label, box, probabilities)] from the left."""
    found = Recognizer(SHIPPED_MODEL, precision="fp32")(cv2.imread(str(path)))
    number = (lambda i: f"{i + 1} ") if len(found) > 1 else (lambda i: "")
    return [(number(i) + f.label, list(f.box), f.probabilities) for i, f in enumerate(found)]


@pytest.mark.parametrize("name", ["portrait", "group", "photo"])
def test_a_picture_is_seen_as_the_desktop_sees_it(page, server, portrait, group, name, tmp_path):
    path = {"portrait": portrait, "group": group, "photo": tmp_path / "photo.jpg"}[name]
    if name == "photo":  # both have libjpeg-turbo
        cv2.imwrite(str(path), cv2.imread(str(group)), [cv2.IMWRITE_JPEG_QUALITY, 90])
    before = requests(page)
    upload(page, path)
    wait_for(page, "done")
    theirs, ours = faces(page), on_desktop(path)
    assert len(ours) == (1 if name == "portrait" else 4)
    assert [(label, box) for label, box, _ in theirs] == [(label, box) for label, box, _ in ours]
    for (_, _, there), (_, _, here) in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(there, here, atol=1e-4)
    assert requests(page) == before  # the picture went nowhere
    assert all(url.startswith(server.url) for url in before)
    assert page.get_log("browser") == []


def test_the_card_is_shown(page):
    card = page.execute_script("return document.getElementById('card-text').textContent")
    assert Recognizer(SHIPPED_MODEL).preprocessing.genome_id in card


def in_page(page, body, *values):
    """The value that JavaScript returns, with the page's own modules at hand."""
    script = (
        "const done = arguments[arguments.length - 1], given = arguments;"
        f"(async () => {{ {body} }})().then(done, (error) => done(`failed: ${{error}}`));"
    )
    return page.execute_async_script(script, *values)


def colour_model(path):
    """Three channels, not square, other classes; its weights are drawn."""
    genome = Genome(Input(3, 32, 24), 3, (Stage((Conv(8, 3, 2), Conv(8, 3, 2))),), Head())
    torch.manual_seed(3)
    weights = {k: v.numpy() for k, v in build(genome).state_dict().items()}
    p = ModelInfo(3, 32, 24, ("up", "down", "sideways"), margin=0.1, training_data="arrows")
    path.write_bytes(to_onnx(genome, weights, p.to_metadata()).SerializeToString())
    return path


def test_a_colour_model_sees_colours_as_on_the_desktop(browser, portrait, tmp_path):
    need((web.RUNTIME / "ort.wasm.min.mjs").is_file(), "ONNX Runtime Web; run: make web")
    model = colour_model(tmp_path / "colour.onnx")
    with served(model) as server:
        browser.get(server.url)
        wait_for(browser, "ready")
        upload(browser, portrait)
        wait_for(browser, "done")
        ((label, box, shares),) = faces(browser)
    recognizer = Recognizer(model)
    (face,) = recognizer(cv2.imread(str(portrait)))
    assert (label, box) == (face.label, list(face.box))
    np.testing.assert_allclose(shares, face.probabilities, atol=1e-4)
    (mirrored,) = recognizer(cv2.imread(str(portrait))[..., ::-1])  # red for blue is another face
    assert np.abs(np.subtract(mirrored.probabilities, shares)).max() > 1e-3


def test_a_browser_that_computes_another_network_is_not_used(browser, server, tmp_path):
    """The model's probes are what it should answer; here they ask for something else."""
    about = json.loads(server.served["/model.json"])["probes"]
    proto = onnx.load(SHIPPED_MODEL)
    about["logits"] = [[1.2 * z + 0.3 * (i % 2) for i, z in enumerate(r)] for r in about["logits"]]
    for entry in proto.metadata_props:
        if entry.key == "fer-nas.probes":
            entry.value = json.dumps(about)
    onnx.save(proto, tmp_path / "model.onnx")
    with served(tmp_path / "model.onnx") as other:
        browser.get(other.url)
        wait_for(browser, "failed")
        assert "another network than was trained" in status(browser)
        assert "allowed 1 %" in status(browser)
        assert not browser.find_element("id", "choose").is_enabled()


def test_crops_are_those_of_the_desktop(page):
    """To the bit: shrunk by fractions, halves and whole numbers, grown, over every edge."""
    grey = np.random.default_rng(0).integers(0, 256, (300, 260), np.uint8)
    boxes = [(20, 30, 77, 77), (3, 5, 96, 96), (10, 10, 144, 144), (9, 9, 48, 48), (50, 60, 30, 30),
             (-20, -9, 71, 71), (240, 280, 90, 90), (5, 7, 47, 48), (7, 7, 240, 240)]  # fmt: skip
    body = """
        const { crop } = await import("./face.js");
        const [text, boxes, margin] = given;
        const grey = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
        return boxes.map(([x, y, width, height]) => Array.from(
          crop(grey, 260, 300, { x, y, width, height }, { margin, width: 48, height: 48 })));"""
    for margin in (0.0, 0.1):
        found = in_page(page, body, base64.b64encode(grey.tobytes()).decode(), boxes, margin)
        for box, crop in zip(boxes, found, strict=True):
            np.testing.assert_array_equal(
                np.reshape(crop, (48, 48)), crop_face(grey, box, margin, 48, 48), err_msg=str(box)
            )


def test_labels_on_the_page_cover_nothing(page):
    """Four faces in a row under the picture's edge; each label is wider than its face."""
    body = """
        const { placeFor } = await import("./overlay.js");
        const boxes = [0, 1, 2, 3].map((i) => ({ x: 100 + 70 * i, y: 5, width: 60, height: 60 }));
        const taken = [...boxes];
        const label = { width: 110, height: 20 };
        for (const box of boxes) taken.push(placeFor(label, box, taken, 640, 480));
        return taken.map(({ x, y, width, height }) => [x, y, width, height]);"""
    found = [tuple(map(round, box)) for box in in_page(page, body)]
    assert len(found) == 8
    for i, label in enumerate(found[4:], 4):
        assert not any(shared_area(label, other) for k, other in enumerate(found) if k != i)
        assert 0 <= label[0] <= 640 - 110
        assert 0 <= label[1] <= 480 - 20


def test_labels_of_a_crowd_are_smaller_on_the_page(page):
    """24 faces that stand closer than their labels are wide, then one of them alone."""
    body = """
        const { placeLabels } = await import("./overlay.js");
        const context = document.createElement("canvas").getContext("2d");
        [context.canvas.width, context.canvas.height] = [800, 600];
        const at = (k) => ({ x: k % 6 * 130 + 25, y: (k - k % 6) / 6 * 145 + 10 });
        const faces = Array.from({ length: 24 }, (_, k) =>
          ({ box: { ...at(k), width: 90, height: 120 } }));
        const titles = faces.map((_, k) => `${10 + k} surprised`);
        const many = placeLabels(context, faces, titles, 1.2);
        const [one] = placeLabels(context, faces.slice(0, 1), titles, 1.2);
        return [...faces.map(({ box }) => box), ...many, one]
          .map(({ x, y, width, height }) => [x, y, width, height]);"""
    *found, alone = (tuple(map(round, box)) for box in in_page(page, body))
    for i, label in enumerate(found[24:], 24):
        assert not any(shared_area(label, other) for k, other in enumerate(found) if k != i)
    assert alone[2] > 1.2 * found[24][2]


def test_labels_are_smoothed_as_on_the_desktop(page):
    """By seconds: uneven frames, changing and uncertain faces give the same labels."""
    rng = np.random.default_rng(1)
    target = np.repeat(rng.dirichlet((0.4, 0.4, 0.4), 8), 12, 0)
    frames = 0.5 * target + 0.5 * rng.dirichlet((1, 1, 1), len(target))
    passed = rng.uniform(0.01, 0.2, len(frames))
    body = """
        const { next } = await import("./smoothing.js");
        const [frames, passed] = given;
        let face = null;
        return frames.map((probabilities, i) => {
          face = next({ probabilities }, face, passed[i], ["a", "b", "c"]);
          return [face.label, face.probabilities];
        });"""
    smoother, seconds = Smoother(("a", "b", "c")), np.cumsum(passed)
    ours = [smoother(1, p, now) for p, now in zip(frames, seconds, strict=True)]
    theirs = in_page(page, body, frames.tolist(), passed.tolist())
    assert len({label for label, _ in ours}) == 4
    assert [label for label, _ in theirs] == [label for label, _ in ours]
    np.testing.assert_allclose([p for _, p in theirs], [p for _, p in ours], atol=1e-9)


def test_the_page_cannot_speak_to_anyone_else(page):
    """The policy, not our restraint: another origin is blocked before a packet leaves."""
    with socket.create_server((HOST, 0)) as elsewhere:
        url = f"http://{HOST}:{elsewhere.getsockname()[1]}/"
        script = "const done = arguments[1]; fetch(arguments[0]).catch((e) => done(e.message));"
        assert page.execute_async_script(script, url) == "Failed to fetch"
        elsewhere.settimeout(0.2)
        with pytest.raises(TimeoutError):
            elsewhere.accept()
    assert "Content Security Policy" in page.get_log("browser")[0]["message"]


def test_a_clip_and_the_camera(page, portrait, tmp_path):
    clip = tmp_path / "clip.webm"
    frame = cv2.resize(cv2.imread(str(portrait)), (320, 376))
    write_clip(clip, [frame] * 20, fps=10, codec="VP80")
    for start in (lambda: upload(page, clip), page.find_element("id", "camera").click):
        start()
        wait_for(page, "live")
        deadline = time.monotonic() + 20
        while not faces(page) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(faces(page)) == 1, status(page)
        assert "fps" in status(page)
        page.find_element("id", "stop").click()
        wait_for(page, "ready")
        assert status(page) == "Stopped"


def test_a_wrong_file_is_named(page, tmp_path, portrait):
    for name, kind in (("text.png", "picture"), ("text.webm", "clip")):
        path = tmp_path / name
        path.write_text("I am neither")
        upload(page, path)
        wait_for(page, "failed")
        assert status(page) == f"{name} is no {kind} that this browser can read"
    upload(page, portrait)  # and the page still works
    wait_for(page, "done")
    assert len(faces(page)) == 1
