"""Several real Ray nodes on this machine: one is killed during a search, one is added later."""

import dataclasses
import os
import time

import numpy as np
import pytest
import yaml
from conftest import ROOT

from nas.search.driver import Callback, Search
from nas.search.settings import Settings
from nas.search.store import RunDirectory
from nas.search.workers import start_workers

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("default")]  # Ray's own


def evaluate_class():
    """Accuracy from the genome alone; which node and which GPU it ran on go along as metrics."""

    class Evaluate:
        def __init__(self, data):
            import os

            import ray

            assert data.nbytes == 8 << 20
            context = ray.get_runtime_context()
            self.node = int(context.get_node_id()[:8], 16)
            self.gpu = len(context.get_accelerator_ids().get("GPU", []))
            self.sees = int(os.environ.get("CUDA_VISIBLE_DEVICES", "all") != "")

        def __call__(self, task):
            time.sleep(0.1)
            accuracy = int(task.genome.id, 16) / 16**12
            place = {"node": self.node, "gpu": self.gpu, "sees": self.sees}
            return {"accuracy": accuracy, "params": 1, "fps": 1, **place}

    return Evaluate


class Events(Callback):
    """Kills a node after 15 evaluations, adds one after 30, ends once that one has been of use."""

    def __init__(self, kill, add):
        self.kill, self.add, self.late = kill, add, None

    def on_evaluation(self, search, evaluation):
        if len(search.archive) == 15:
            self.kill()
        if len(search.archive) == 30:
            self.late = number(self.add())
        if evaluation.metrics["node"] == self.late:
            enough = search.optimizer.asked
            search.settings = dataclasses.replace(search.settings, evaluations=enough)


def number(node):
    return int(node.node_id[:8], 16)


@pytest.fixture
def cluster(monkeypatch):
    """A head without room for workers."""
    monkeypatch.setenv("RAY_AUTH_MODE", os.environ.get("RAY_AUTH_MODE", "disabled"))
    from ray.cluster_utils import Cluster

    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        yield started
    finally:
        started.shutdown()


def test_a_node_dies_and_a_node_joins(cluster, tmp_path, quick):
    import ray

    with_gpu = cluster.add_node(num_cpus=3, num_gpus=1)
    doomed = cluster.add_node(num_cpus=2)
    settings = Settings(
        evaluations=1000, population=8, algorithm="nsga2", address=cluster.address,
        workers=2, gpus_per_worker=0.5, cpu_workers=5,  # two more than there is room for at first
    )  # fmt: skip
    data = np.zeros(8 << 20, np.uint8)
    workers = start_workers(settings, evaluate_class(), (data,))
    locations = []

    def kill():
        (stored,) = workers.arguments[4:]
        locations.append(ray.experimental.get_object_locations([stored])[stored]["node_ids"])
        cluster.remove_node(doomed, allow_graceful=False)

    try:
        while workers.capacity < 5:
            workers.next()
        run = RunDirectory.create(tmp_path / "run", settings, quick, [], ["test"])
        events = Events(kill, lambda: cluster.add_node(num_cpus=3))
        search = Search(run, settings, quick, [], [events])
        outcome = search.loop(workers)
    finally:
        workers.close()
    assert outcome.stopped == "finished"
    found = search.archive.evaluations
    assert sorted(e.index for e in found) == list(range(len(found)))
    assert len({e.id for e in found}) == len(found) < 1000
    assert all(e.ok for e in found)
    nodes = [e.metrics["node"] for e in found]
    assert set(nodes) == {number(with_gpu), number(doomed), events.late}
    assert number(doomed) not in nodes[-3:]  # its workers outlive a killed node by a second
    # Half a GPU for each of --workers, on the node that has one; none for --cpu-workers.
    assert {e.metrics["gpu"] for e in found} == {0, 1}
    assert all(e.metrics["sees"] == e.metrics["gpu"] for e in found)
    assert {e.metrics["node"] for e in found if e.metrics["gpu"]} == {number(with_gpu)}
    (stored,) = locations
    assert len(stored) == len(set(stored)) <= 3  # head, gpu, doomed: one copy each


def test_the_cluster_file_is_what_ray_expects():
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(yaml.safe_load((ROOT / "examples/cluster.yaml").read_text()))
    validate_config(config)
    # A bare name would leave out nas/data as well.
    assert all(pattern.startswith("/") for pattern in config["rsync_exclude"])
    for command in (*config["head_start_ray_commands"], *config["worker_start_ray_commands"]):
        assert "RAY_AUTH_MODE=token" in command or command == "ray stop"
