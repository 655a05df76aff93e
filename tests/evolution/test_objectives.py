import math

from nas.evolution.objectives import Fitness


def test_fitness_by_hand():
    fitness = Fitness(params_limit=100, fps_target=50, params_weight=0.2, fps_weight=0.4)
    within = {"accuracy": 0.7, "params": 80, "fps": 60}
    assert fitness(within) == 0.7
    beyond = {"accuracy": 0.7, "params": 150, "fps": 25}
    assert math.isclose(fitness(beyond), 0.7 - 0.2 * 0.5 - 0.4 * 0.5)
