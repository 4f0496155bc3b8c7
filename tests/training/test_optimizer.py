import json
import math

import keras
import numpy as np
import pytest
from keras import ops

from xlnet.errors import UserError
from xlnet.training.optimizer import WarmupDecay, build, is_decayed
from xlnet.training.settings import OptimizerSettings

FOLLOWED = [
    "adam_poly_warmup",
    "adam_cos_nowarmup",
    "adamwd_poly_warmup",
    "adamwd_cos_layerdecay",
    "adam_layerdecay_noclip",
]


def settings_of(case: dict) -> OptimizerSettings:
    return OptimizerSettings(
        learning_rate=case["learning_rate"],
        warmup_steps=case["warmup_steps"],
        decay={"poly": "polynomial", "cos": "cosine"}[case["decay_method"]],
        end_rate=case["min_lr_ratio"],
        weight_decay=case["weight_decay"],
        epsilon=case["adam_epsilon"],
        clip_norm=case["clip"],
        layer_decay=case["lr_layer_decay_rate"],
        optimizer="reference",
    )


@pytest.mark.parametrize("name", FOLLOWED)
def test_reference_optimizer_follows_the_recorded_steps(golden, name):
    case = json.loads(golden("optimizer_cases.json").read_text())[name]
    recorded = np.load(golden("optimizer.npz"))
    names = [key.removeprefix("init/") for key in recorded.files if key.startswith("init/")]
    variables = [keras.Variable(recorded[f"init/{name_}"], name=name_.replace("/", ".")) for name_ in names]
    optimizer = build(settings_of(case), steps=case["train_steps"], variables=variables)
    for step in range(8):
        assert ops.convert_to_numpy(optimizer.iterations) == recorded[f"{name}/global_step_before"][step]
        # With weight decay the original warms up with the rate that it shows a step later: its weights move at step 0.
        shown = step + (case["weight_decay"] > 0 and step < case["warmup_steps"])
        rate = ops.convert_to_numpy(optimizer.learning_rate)
        np.testing.assert_allclose(rate, recorded[f"{name}/learning_rate"][shown], rtol=1e-5)
        optimizer.apply([ops.convert_to_tensor(recorded[f"grad/{step}/{n}"]) for n in names], variables)
        norm = ops.convert_to_numpy(optimizer.gradient_norm)
        np.testing.assert_allclose(norm, recorded[f"{name}/global_norm"][step], rtol=1e-5)
        for variable, variable_name in zip(variables, names, strict=True):
            found = ops.convert_to_numpy(variable)
            np.testing.assert_allclose(found, recorded[f"{name}/after_{step}/{variable_name}"], atol=2e-6)


NAMES = ["transformer.layer_0.ff.layer_1.kernel", "transformer.layer_1.q", "transformer.layer_2.q", "transformer.seg"]


def moved(*, steps: int = 3, **settings) -> list[float]:
    """How far variables of equal gradients move, by name."""
    variables = [keras.Variable(np.ones(4, "float32"), name=name) for name in NAMES]
    wanted = OptimizerSettings(**{"warmup_steps": 0, "weight_decay": 0.0, **settings})
    updates = build(wanted, steps=100, variables=variables)
    for _ in range(steps):
        updates.apply([ops.full((4,), 0.1) for _ in NAMES], variables)
    return [1.0 - float(variable.numpy()[0]) for variable in variables]


@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
def test_layer_decay_scales_the_rate_of_each_layer_by_its_own_number(weight_decay):
    even, scaled = moved(weight_decay=weight_decay, steps=1), moved(weight_decay=weight_decay, layer_decay=0.5, steps=1)
    np.testing.assert_allclose(np.divide(scaled, even), [0.25, 0.5, 1.0, 1.0], rtol=1e-3)


def test_layer_decay_of_the_original_moves_all_layers_alike():
    first, second, last, other = moved(layer_decay=0.5, optimizer="reference")
    np.testing.assert_allclose([first, second, last], other, rtol=1e-3)


def test_which_variables_decay_is_as_recorded(golden):
    case = json.loads(golden("optimizer_cases.json").read_text())["adamwd_poly_warmup"]
    recorded = np.load(golden("optimizer.npz"))
    names = {key.removeprefix("init/") for key in recorded.files if key.startswith("init/")}
    assert {name for name in names if not is_decayed(name)} == set(case["not_decayed"])


def test_schedule_equals_the_recorded_curves(golden):
    curves = json.loads(golden("optimizer_cases.json").read_text())["lr_curves_base_lr_0.01"]
    for name, curve in curves.items():
        method, warmup, steps, end = name.split("_")
        schedule = WarmupDecay(
            0.01,
            steps=int(steps.removeprefix("train")),
            warmup_steps=int(warmup.removeprefix("warmup")),
            decay={"poly": "polynomial", "cos": "cosine"}[method],
            end_rate=float(end.removeprefix("min")),
        )
        found = [float(ops.convert_to_numpy(schedule(step))) for step in range(len(curve))]
        np.testing.assert_allclose(found, curve, atol=2e-8, err_msg=name)


def test_a_wrong_setting_is_named_with_what_was_found():
    with pytest.raises(UserError, match="decay is 'linear', wanted is one of polynomial, cosine"):
        OptimizerSettings(decay="linear")


def test_adamw_is_that_of_keras_bit_for_bit():
    random = np.random.default_rng(0)
    shapes = {name: (3, 1 + place) for place, name in enumerate([*NAMES, "transformer.layer_0.LayerNorm.beta"])}
    gradients = [{name: random.standard_normal(shape) for name, shape in shapes.items()} for _ in range(6)]
    begun = {name: random.standard_normal(shape).astype("float32") for name, shape in shapes.items()}
    wanted = OptimizerSettings(learning_rate=0.01, warmup_steps=2, weight_decay=0.1, clip_norm=math.inf)

    def after(make) -> dict[str, np.ndarray]:
        variables = [keras.Variable(value, name=name) for name, value in begun.items()]
        optimizer = make(variables)
        for each in gradients:
            optimizer.apply([ops.cast(each[name], "float32") for name in shapes], variables)
        return {variable.name: variable.numpy() for variable in variables}

    def of_keras(variables):
        rates = WarmupDecay(0.01, steps=20, warmup_steps=2, decay=wanted.decay, end_rate=wanted.end_rate)
        optimizer = keras.optimizers.AdamW(learning_rate=rates, epsilon=wanted.epsilon, weight_decay=0.1)
        optimizer.exclude_from_weight_decay(var_names=[name for name in shapes if not is_decayed(name)])
        return optimizer

    ours = after(lambda variables: build(wanted, steps=20, variables=variables))
    for name, value in after(of_keras).items():
        np.testing.assert_array_equal(ours[name], value)
