"""Several real Ray nodes on this machine: one is killed during a search, one is added later."""

import os
import time

import numpy as np
import pytest
from conftest import ROOT
from test_loop import Silent

from nas.loop import Search
from nas.run import RunDirectory, Settings
from nas.workers import RayWorkers

pytestmark = pytest.mark.filterwarnings("default")  # Ray's own


def evaluate_class():
    """Accuracy from the genome alone; which node and which GPU it ran on go along as metrics."""

    class Evaluate:
        def __init__(self, data):
            import ray

            assert data.nbytes == 8 << 20
            context = ray.get_runtime_context()
            self.node = int(context.get_node_id()[:8], 16)
            self.gpu = len(context.get_accelerator_ids().get("GPU", []))

        def __call__(self, genome, fidelity, seed):
            time.sleep(0.1)
            accuracy = int(genome.id, 16) / 16**12
            return {
                "accuracy": accuracy, "params": 1, "fps": 1, "node": self.node, "gpu": self.gpu,
            }  # fmt: skip

    return Evaluate


class Events(Silent):
    """Calls a function after so many evaluations."""

    def __init__(self, events):
        self.events = events

    def update(self, search, evaluation):
        if evaluation is not None and len(search.archive) in self.events:
            self.events.pop(len(search.archive))()


@pytest.fixture
def cluster(monkeypatch):
    """A head without workers, a node of two CPUs and a node of two CPUs and a GPU."""
    monkeypatch.setenv("RAY_AUTH_MODE", os.environ.get("RAY_AUTH_MODE", "disabled"))
    from ray.cluster_utils import Cluster

    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        yield started
    finally:
        started.shutdown()


def test_a_node_dies_and_a_node_joins(cluster, tmp_path, quick):
    import ray

    with_gpu = cluster.add_node(num_cpus=2, num_gpus=1)
    doomed = cluster.add_node(num_cpus=2)
    late = []
    # The last two have no place yet.
    shares = [0.5, 0.5, 0, 0, 0, 0]
    data = np.zeros(8 << 20, np.uint8)
    workers = RayWorkers(evaluate_class(), data, gpus=shares, address=cluster.address)
    locations = []

    def kill():
        (stored,) = workers._arguments[3:]
        locations.append(ray.experimental.get_object_locations([stored])[stored]["node_ids"])
        cluster.remove_node(doomed, allow_graceful=False)

    def add():
        late.append(cluster.add_node(num_cpus=3))
        ray.wait(list(workers._starting), timeout=60)

    try:
        while workers.capacity < 4:
            workers.next()
        settings = Settings(evaluations=60, population=8, workers=len(shares))
        run = RunDirectory.create(
            tmp_path / "run", settings, ROOT / "search_spaces/quick.yaml", [], ["test"]
        )
        search = Search(run, settings, quick, [], Events({15: kill, 30: add}))
        outcome = search.loop(workers)
    finally:
        workers.close()
    assert outcome.stopped == "finished"
    found = outcome.evaluations
    assert sorted(e.index for e in found) == list(range(60))
    assert len({e.id for e in found}) == 60
    assert all(e.ok for e in found)
    numbers = {name: int(node.node_id[:8], 16) for name, node in
               {"gpu": with_gpu, "doomed": doomed, "late": late[0]}.items()}  # fmt: skip
    nodes = [e.metrics["node"] for e in found]
    assert set(nodes) == set(numbers.values())
    assert numbers["doomed"] not in nodes[40:]  # its workers outlive a killed node by a second
    assert numbers["late"] in nodes[30:]
    # Half a GPU each, on the node that has one; the others got none.
    assert {e.metrics["gpu"] for e in found if e.metrics["node"] == numbers["gpu"]} == {1}
    assert {e.metrics["gpu"] for e in found if e.metrics["node"] != numbers["gpu"]} == {0}
    (stored,) = locations
    assert len(stored) == len(set(stored)) <= 3  # head, gpu, doomed: one copy each
