"""One tree of settings: its options, help, YAML, and what a run may go on with."""

import dataclasses
from types import SimpleNamespace

import pytest
import yaml
from conftest import ROOT

from nas.common.cli import Parser
from nas.common.errors import UserError
from nas.common.options import options_of
from nas.common.schema import read
from nas.evolution.objectives import Constraint, Fitness, Objective, Penalty
from nas.search.__main__ import main
from nas.search.settings import (
    Settings,
    add_settings,
    changeable,
    checked,
    fixed_changes,
    load_settings,
    settings_of,
)
from nas.training.recipe import Recipe
from nas.training.task import Fidelity


def parser_of():
    parser = Parser("nas.search")
    add_settings(parser)
    return parser


def given(*argv):
    return settings_of(parser_of().parse_args(argv))


def test_the_help_has_every_option_and_its_default(capsys):
    """About a dozen; the rest are keys of the YAML."""
    with pytest.raises(SystemExit):
        main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    options = options_of(Settings)
    assert len(options) <= 12
    for option in options:
        value = Settings()
        for name in option.path:
            value = getattr(value, name)
        written = "none" if value is None else "off" if value is False else f"{value}"
        shown = " ".join(option.full_help.split())
        assert shown in text
        assert shown.endswith(f"(default {written.removesuffix('.0')})"), option.flag
        assert f"{option.flag} " in text


def test_yaml_and_back(tmp_path):
    settings = Settings(
        evaluations=7, time_budget=60.0, fidelity=Fidelity(2, 0.5), recipe=Recipe(batch_size=32),
        objectives=(Objective("accuracy"), Objective("joules", worst=5.0)),
        constraints=(Constraint("joules", at_most=9.0),),
        fitness=Fitness(penalties=(Penalty("params", at_most=9.0, weight=0.5),)),
    )  # fmt: skip
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(dataclasses.asdict(settings)))
    assert load_settings(path) == settings


def test_none_is_no_limit_and_nothing_is_0():
    assert Settings().evaluations is None
    assert given().evaluations == 40  # where no time is given either
    assert given("--time-budget", "90s").evaluations is None
    assert given("--time-budget", "90s").time_budget == 90
    assert given("--evaluations", "5", "--time-budget", "2h").evaluations == 5
    for key in ("evaluations", "time_budget", "workers", "candidate_time", "candidate_memory"):
        with pytest.raises(UserError, match=f"{key}: must be in"):
            given("--set", f"{key}=0")


def test_time_in_a_file_decides_alone(tmp_path):
    def evaluations(text, *argv):
        (tmp_path / "c.yaml").write_text(text)
        return given("--config", str(tmp_path / "c.yaml"), *argv).evaluations

    assert evaluations("time_budget: 3600\n") is None
    assert evaluations("evaluations: 200\n", "--time-budget", "1h") == 200
    assert evaluations("evaluations: 200\n") == 200
    assert evaluations("seed: 1\n") == 40


def test_a_further_time_of_a_run_decides_alone():
    def evaluations(*argv):
        return settings_of(parser_of().parse_args(argv), Settings(evaluations=7)).evaluations

    assert evaluations("--time-budget", "1h") is None
    assert evaluations("--time-budget", "1h", "--evaluations", "9") == 9
    assert evaluations("--workers", "2") == 7


def test_what_a_training_measures_may_be_an_objective():
    """The cross entropy too; it was refused as unknown."""
    for name in ("accuracy", "macro_f1", "balanced_accuracy", "loss"):
        assert given("--set", f"objectives=[{{name: {name}}}, {{name: macs}}]").wanted[0] == name


def test_any_key_can_be_set():
    found = given("--set", "population=30", "recipe.batch_size=7", "--set", "fidelity.epochs=9",
                  "objectives=[{name: accuracy, direction: maximize}, {name: macs}]")  # fmt: skip
    assert (found.population, found.recipe.batch_size, found.fidelity.epochs) == (30, 7, 9)
    assert found.objectives == (Objective("accuracy"), Objective("macs"))


@pytest.mark.parametrize(
    ("old", "now"),
    [
        ({"algorithm": "nsga2", "surrogate": True}, "nsga2+gp"),
        ({"algorithm": "nsga2", "surrogate": False}, "nsga2"),
        ({"algorithm": "ga", "surrogate": True}, "ga+gp"),
        ({"algorithm": "random", "surrogate": True}, "random"),
        ({"surrogate": False}, "nsga2"),
    ],
)
def test_keys_of_version_0_1(old, now):
    zeros = {"evaluations": 0, "time_budget": 0.0, "workers": 0, "candidate_time": 0.0}
    fitness = {"params_limit": 5.0, "fps_target": 7.0}
    found = read(Settings, {**old, **zeros, "fitness": fitness}, "old")
    assert found.algorithm == now
    assert (found.evaluations, found.time_budget, found.workers) == (None, None, None)
    assert found.fitness.penalties[0].at_most == 5


def test_committed_runs_of_version_0_1_are_read():
    paths = [*ROOT.glob("experiments/*/config.yaml"), *ROOT.glob("experiments/*/*/config.yaml")]
    assert len(paths) > 3
    for path in paths:
        checked(load_settings(path))


def test_what_decides_the_figures_stays():
    run = Settings()
    allowed = dataclasses.replace(run, evaluations=9, workers=3, time_budget=9.0, fitness=Fitness(
        penalties=()), candidate_memory=2.0)  # fmt: skip
    assert fixed_changes(run, allowed) == {}
    for change in (
        {"seed": 1}, {"algorithm": "ga"}, {"data": "fer2013"}, {"population": 9},
        {"deterministic": True}, {"fps_model": "x"}, {"evaluator": "a:b"},
        {"objectives": (Objective("macs"), Objective("params"))},
        {"constraints": (Constraint("macs", at_most=1.0),)}, {"recipe": Recipe(batch_size=7)},
    ):  # fmt: skip
        assert fixed_changes(run, dataclasses.replace(run, **change)).keys() == change.keys()
    assert fixed_changes(run, dataclasses.replace(run, fidelity=Fidelity(9))) == {
        "fidelity.epochs": (3, 9)
    }
    for name in ("evaluations", "time_budget", "workers", "candidate_time", "fitness"):
        assert name in changeable()
    assert "seed" not in changeable()


@pytest.mark.parametrize("algorithm", ["ga", "ga+gp"])
def test_a_ga_climbs_its_fitness_to_the_end(algorithm):
    run = Settings(algorithm=algorithm)
    other = dataclasses.replace(run, fitness=Fitness(penalties=()))
    assert fixed_changes(run, other).keys() == {"fitness"}


def test_the_choice_follows_the_fitness_where_it_knows_enough():
    small, large = (
        SimpleNamespace(metrics={"accuracy": a, "params": p}) for a, p in ((0.60, 100), (0.65, 300))
    )

    def settings(weight, name="params"):
        fitness = Fitness(penalties=(Penalty(name, at_most=100, weight=weight),))
        return Settings(fitness=fitness)

    assert settings(0.001).choose([small, large]) is large
    assert settings(0.1).choose([small, large]) is small
    assert settings(0.1, "energy").choose([small, large]) is large  # by the first objective
    assert settings(0.1).choose([]) is None
