"""Orders on the device against the reference's masks."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from keras import ops

from xlnet.model.permutation import target_positions, visible, visible_from

SEP, CLS = 4, 3
LOCAL = ("a", "b_chunks", "c_func_masked", "d_allmasked", "e_nomask")


def chunked(permutation: np.ndarray, length: int) -> np.ndarray:
    """The reference's order: the rows of a [chunk, chunks] matrix of positions, shuffled, read by columns."""
    matrix = np.arange(length).reshape(-1, len(permutation)).T
    return matrix[permutation].T.reshape(-1)


@pytest.mark.parametrize("name", LOCAL)
def test_one_half_is_seen_as_recorded(golden: Callable[[str], Path], name: str) -> None:
    recorded = {
        key.split("/", 1)[1]: value
        for key, value in np.load(golden("perm.npz")).items()
        if key.startswith(f"local_perm_{name}/")
    }
    order, pieces = recorded["index"], recorded["inputs"]
    np.testing.assert_array_equal(order, chunked(recorded["row_permutation"], len(order)))
    functional = np.isin(pieces, [SEP, CLS])
    target = recorded["is_masked"] & ~functional
    np.testing.assert_array_equal(target, recorded["target_mask"] == 1)
    seen = visible(order[None], target[None], functional[None], reuse_length=0)
    np.testing.assert_array_equal(ops.convert_to_numpy(seen)[0], recorded["perm_mask"] == 0)


@pytest.mark.parametrize("name", ["np10", "np9_ps8", "none"])
def test_two_halves_are_seen_as_recorded(golden: Callable[[str], Path], name: str) -> None:
    settings = json.loads(golden("perm_cases.json").read_text())[f"parser_{name}"]
    recorded = np.load(golden("perm.npz"))
    part = f"parser_{name}"
    reuse, length = settings["reuse_len"], settings["seq_len"]
    order = np.concatenate(
        [
            chunked(recorded[f"{part}/row_permutation_0"], reuse),
            chunked(recorded[f"{part}/row_permutation_1"], length - reuse),
        ]
    )
    functional = np.isin(recorded[f"{part}/record/input"], [SEP, CLS])
    target = (recorded[f"{part}/record/is_masked"] == 1) & ~functional
    seen = ops.convert_to_numpy(visible(order[None], target[None], functional[None], reuse_length=reuse))[0]
    np.testing.assert_array_equal(seen, recorded[f"{part}/parsed/perm_mask"] == 0)
    if settings["num_predict"]:
        positions, mask = target_positions(target[None], settings["num_predict"])
        one_hot = np.eye(length)[ops.convert_to_numpy(positions)[0]] * ops.convert_to_numpy(mask)[0][:, None]
        np.testing.assert_array_equal(one_hot, recorded[f"{part}/parsed/target_mapping"])
        rows = visible_from(positions, order[None], target[None], functional[None], reuse_length=reuse)
        np.testing.assert_array_equal(ops.convert_to_numpy(rows)[0], seen[ops.convert_to_numpy(positions)[0]])


@pytest.mark.parametrize("name", ["cased", "uncased_uni"])
def test_batches_are_seen_as_recorded(golden: Callable[[str], Path], name: str) -> None:
    settings = json.loads(golden("input_batches_cases.json").read_text())[name]
    recorded = np.load(golden("input_batches.npz"))
    reuse, length = settings["reuse_len"], settings["seq_len"]
    half = chunked(recorded[f"{name}/row_permutation"], reuse)
    for batch in range(3):
        pieces = recorded[f"{name}/batch{batch}/input_k"]
        order = np.tile(np.concatenate([half, half]), (len(pieces), 1))
        target = recorded[f"{name}/batch{batch}/input_q"] == 1
        seen = visible(order, target, np.isin(pieces, [SEP, CLS]), reuse_length=reuse)
        np.testing.assert_array_equal(ops.convert_to_numpy(seen), recorded[f"{name}/batch{batch}/perm_mask"] == 0)
        positions, mask = (ops.convert_to_numpy(x) for x in target_positions(target, settings["num_predict"]))
        mapping = recorded[f"{name}/batch{batch}/target_mapping"]
        np.testing.assert_array_equal(np.eye(length)[positions] * mask[..., None], mapping)


def test_targets_beyond_the_predictions_are_dropped_and_too_few_are_padded() -> None:
    target = np.array([[0, 1, 1, 0, 1], [0, 0, 0, 1, 0]], bool)
    positions, mask = target_positions(target, 2)
    np.testing.assert_array_equal(ops.convert_to_numpy(positions), [[1, 2], [3, 0]])
    np.testing.assert_array_equal(ops.convert_to_numpy(mask), [[1, 1], [1, 0]])
