"""The page of a run on loopback, while the run grows."""

import http.client
import json
import shutil
import threading

import pytest
from conftest import ROOT

from nas.common.web import HOST
from nas.search import pages
from nas.search.pages import page_server
from nas.search.store import RunDirectory


@pytest.fixture
def run(tmp_path):
    """The first thirty evaluations of a real run."""
    path = tmp_path / "run"
    shutil.copytree(ROOT / "experiments/equal_time/random-0", path)
    lines = (path / "evaluations.jsonl").read_text().splitlines(keepends=True)
    (path / "evaluations.jsonl").write_text("".join(lines[:30]))
    (path / "rest").write_text("".join(lines[30:]))
    return RunDirectory.open(path)


@pytest.fixture
def server(run, monkeypatch):
    monkeypatch.setattr(pages, "REFRESH", 0.0)
    monkeypatch.setattr(pages, "PATIENCE", 0)
    with page_server(run, 0) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def ask(server, path, host=None):
    connection = http.client.HTTPConnection(HOST, server.server_port, timeout=60)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def test_the_page_and_its_data_grow_with_the_run(server, run):
    answer, page = ask(server, "/")
    assert answer.status == 200
    assert b'"live":true' in page
    before = json.loads(ask(server, "/data.json")[1])
    assert (len(before["networks"]), before["live"]) == (30, True)
    with open(run.file("evaluations.jsonl"), "a") as file:
        file.write(run.file("rest").read_text())
    after = json.loads(ask(server, "/data.json")[1])
    assert len(after["networks"]) == 56
    assert after["surrogate"]["points"]  # a slow part stays where it is not made anew


def test_only_this_machine_and_only_the_page(server):
    assert server.server_address[0] == "127.0.0.1"
    assert ask(server, "/", host="evil.example")[0].status == 403
    for path in ("/config.yaml", "/../config.yaml", "/evaluations.jsonl"):
        assert ask(server, path)[0].status == 404
    answer, _ = ask(server, "/")
    assert answer.getheader("X-Content-Type-Options") == "nosniff"
    assert "frame-ancestors 'none'" in answer.getheader("Content-Security-Policy")
