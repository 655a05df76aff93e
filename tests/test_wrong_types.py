"""Wrong types and values from Python: one line that says what was found and what is allowed."""

import dataclasses

import pytest

import nas
from nas.arch.genome import Conv, Genome, Head, Input, Stage
from nas.common.errors import UserError

SPACE = nas.SearchSpace.load("quick")
GENOME = Genome(Input(), 7, (Stage((Conv(4),)),), Head())


def told(genome, metrics):
    return nas.Optimizer(SPACE).tell(genome, metrics, foreign=True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nas.Run.open(3), "Run.open: found 3; expected a path"),
        (lambda: nas.search("quick", callbacks=3), "callbacks: found 3; expected a list"),
        (lambda: nas.search("quick", settings=3), "settings: found 3; expected Settings"),
        (lambda: nas.search("quick", seed_genomes="proposed", evaluator=len),
         "seed_genomes: found 'proposed'; expected a list"),
        (lambda: nas.search("quick", evaluator=len, machine=3),
         "machine: found 3; expected a path"),
        (lambda: nas.search("quick", evaluator=len, run_dir=3),
         "run_dir: found 3; expected a path"),
        (lambda: nas.search(resume=3), "resume: found 3; expected a path"),
        (lambda: nas.search("quick", evaluator=3), "evaluator: found int; expected a function"),
        (lambda: nas.search("quick", data=3), "data: must be text"),
        (lambda: nas.search("quick", evaluations="x"), "evaluations: must be a number"),
        (lambda: nas.search("quick", nosuch=1), "unknown key 'nosuch'"),
        (lambda: nas.Optimizer("fer"), "space: found 'fer'; expected a SearchSpace"),
        (lambda: nas.Optimizer(SPACE, 3), "objectives: found 3; expected a list"),
        (lambda: nas.Optimizer(SPACE, algorithm=3), "unknown algorithm 3"),
        (lambda: nas.Optimizer(SPACE, seed="x"), "seed: must be a number"),
        (lambda: nas.Optimizer(SPACE, population=0), "population: must be in"),
        (lambda: nas.Optimizer(SPACE, initial=3), "initial: found 3; expected a list of genomes"),
        (lambda: nas.Optimizer(SPACE, initial=["x"]), "initial: found 'x'; expected a genome"),
        (lambda: told(3, {}), "genome: found 3"),
        (lambda: told(GENOME, 3), "metrics: found 3; expected a dict"),
        (lambda: nas.SearchSpace.load(3), "search space: found 3; expected a name or a path"),
        (lambda: nas.Genome.load(3), "genome: found 3; expected a name or a path"),
        (lambda: nas.Recipe.load(3), "recipe: found 3; expected a name or a path"),
        (lambda: nas.retrain("nope"), "genome: no genome 'nope': no such file"),
        (lambda: nas.Recipe(lr="x"), "Recipe: lr: must be a number, got 'x'"),
        (lambda: nas.Recipe(epochs=0), "Recipe: epochs: must be in [1, 10000], got 0"),
        (lambda: nas.Recipe(soft_labels=1), "Recipe: soft_labels: must be true or false, got 1"),
        (lambda: nas.Recipe(augment={"flip": 1}), "Recipe: augment: must be Augment(...), got {"),
        (lambda: dataclasses.replace(nas.Recipe(), optimizer="x"), "Recipe: optimizer: "),
        (lambda: nas.retrain(GENOME, seeds=1.5), "seeds: found 1.5; expected how many"),
        (lambda: nas.retrain(GENOME, seeds="x"), "seeds: found 'x'"),
        (lambda: nas.retrain(GENOME, seeds=["a"]), "seeds: must be a number"),
        (lambda: nas.retrain(GENOME, seeds=[-1]), "seeds: must be in"),
        (lambda: nas.retrain(GENOME, epochs=0), "retrain.epochs: must be in"),
        (lambda: nas.retrain(GENOME, epoch=3), "did you mean 'epochs'"),
        (lambda: nas.retrain(GENOME, augment={"flop": 1}), "did you mean 'flip'"),
        (lambda: nas.retrain(GENOME, out=3), "out: found 3; expected a path"),
        (lambda: nas.retrain(GENOME, initial=3), "initial: found 3; expected a name or a path"),
        (lambda: nas.retrain(GENOME, teachers=[3]), "teachers: found 3; expected a name or a path"),
        (lambda: nas.export(3), "export: model: found 3; expected a name or a path"),
        (lambda: nas.Recognizer(3), "model: found 3; expected a name or a path"),
        (lambda: nas.Recognizer(precision="x"), "unknown precision 'x'"),
        (lambda: nas.Recognizer(threshold="x"), "threshold: must be a number"),
        (lambda: nas.Recognizer(margin=-5), "margin: must be in"),
        (lambda: nas.Recognizer(smallest="x"), "smallest: must be a number"),
        (lambda: nas.Recognizer(detector=3), "detector: found 3; expected a Detector"),
    ],
)  # fmt: skip
def test_one_line_says_what_is_wrong(call, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as error:
        call()
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not any(tmp_path.iterdir())
