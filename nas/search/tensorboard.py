"""A search in TensorBoard; imported only where it is installed."""

from __future__ import annotations

from torch.utils.tensorboard import SummaryWriter

from nas.search.archive import Evaluation
from nas.search.driver import Callback, Search
from nas.search.elapsed import Outcome
from nas.search.progress import hypervolumes


class TensorBoard(Callback):
    """Event files in RUN/tensorboard: each evaluation's metrics, the best accuracy so far, and at
    the end the hypervolume and the front's genes as hyperparameters.
    """

    def __init__(self) -> None:
        self._writer: SummaryWriter | None = None  # a search may end before it begins

    def on_start(self, search: Search) -> None:
        self._writer = SummaryWriter(str(search.run.file("tensorboard")))
        self._best = max((e.metrics.get("accuracy", 0.0) for e in search.archive if e.ok),
                         default=0.0)  # fmt: skip

    def on_evaluation(self, search: Search, evaluation: Evaluation) -> None:
        assert self._writer is not None
        step = len(search.archive)
        for name, value in evaluation.metrics.items():
            self._writer.add_scalar(f"evaluation/{name}", value, step)
        if evaluation.ok:
            self._best = max(self._best, evaluation.metrics.get("accuracy", 0.0))
            self._writer.add_scalar("search/best_accuracy", self._best, step)
        self._writer.add_scalar("search/front", len(search.archive.front), step)
        failed = sum(e.status == "failed" for e in search.archive)
        self._writer.add_scalar("search/failed", failed, step)
        self._writer.add_scalar("search/elapsed", evaluation.elapsed or 0.0, step)

    def on_end(self, search: Search, outcome: Outcome) -> None:
        if self._writer is None:
            return
        for step, share in enumerate(hypervolumes(search)):
            self._writer.add_scalar("search/hypervolume_of_enlarged_fronts", share, step)
        for e in search.archive.results():
            metrics = {f"front/{name}": value for name, value in e.metrics.items()}
            if genes := search.space.genes(e.genome):
                self._writer.add_hparams(genes, metrics, run_name=e.id)
        self._writer.close()
