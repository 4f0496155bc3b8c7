import itertools
import json
import os

import keras
import numpy as np
import pytest
from keras import ops

from xlnet import storage
from xlnet.errors import UserError
from xlnet.training import resume


@pytest.fixture
def variables():
    return {"weights": keras.Variable(np.arange(6.0).reshape(2, 3)), "step": keras.Variable(3, dtype="int32")}


def test_what_is_saved_comes_back(tmp_path, variables):
    resume.save(str(tmp_path), 7, variables=variables, settings={"rows": 2}, keep=resume.Keep(2))
    variables["weights"].assign(ops.zeros((2, 3)))
    found, passed = resume.restore(resume.find(str(tmp_path)), variables=variables, settings={"rows": 2})
    assert found is not None
    assert (found.step, passed) == (7, {})
    np.testing.assert_array_equal(ops.convert_to_numpy(variables["weights"]), np.arange(6.0).reshape(2, 3))


def test_only_the_newest_are_kept(tmp_path, variables):
    for step in (1, 2, 3, 10):
        resume.save(str(tmp_path), step, variables=variables, settings={}, keep=resume.Keep(2))
    assert [checkpoint.step for checkpoint in resume.find(str(tmp_path))] == [3, 10]


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(tmp_path, variables):
    for step in (1, 2):
        resume.save(str(tmp_path), step, variables=variables, settings={}, keep=resume.Keep(3))
    damage(tmp_path, 2)
    found, passed = resume.restore(resume.find(str(tmp_path)), variables=variables, settings={})
    assert found is not None
    assert found.step == 1
    assert {broken.step: why for broken, why in passed.items()} == {
        2: "its content is not what was written (checksums differ)"
    }


def damage(folder, step):
    state = folder / f"step-{step:08d}" / "state.safetensors"
    content = bytearray(state.read_bytes())
    content[-1] ^= 1
    state.write_bytes(content)


def test_the_one_just_written_stays_and_those_that_were_passed_over_go_when_it_is_there(tmp_path, variables):
    for step in (10, 20, 30, 40):
        resume.save(str(tmp_path), step, variables=variables, settings={}, keep=resume.Keep(9))
    for step in (20, 30, 40):
        damage(tmp_path, step)
    found, passed = resume.restore(resume.find(str(tmp_path)), variables=variables, settings={})
    assert found is not None
    assert found.step == 10
    resume.save(str(tmp_path), 30, variables=variables, settings={}, keep=resume.Keep(2), passed=passed)
    assert [checkpoint.step for checkpoint in resume.find(str(tmp_path))] == [10, 30]
    found, passed = resume.restore(resume.find(str(tmp_path)), variables=variables, settings={})
    assert found is not None
    assert (found.step, passed) == (30, {})


def test_later_ones_do_not_count_whoever_wrote_them(tmp_path, variables):
    for step in (40, 10, 20):
        resume.save(str(tmp_path), step, variables=variables, settings={}, keep=resume.Keep(1))
    assert [checkpoint.step for checkpoint in resume.find(str(tmp_path))] == [20, 40]


def test_a_folder_without_its_description_is_no_checkpoint(tmp_path, variables):
    resume.save(str(tmp_path), 1, variables=variables, settings={}, keep=resume.Keep(3))
    (tmp_path / "step-00000001" / "checkpoint.json").unlink()
    found, passed = resume.restore(resume.find(str(tmp_path)), variables=variables, settings={})
    assert found is None
    assert "does not exist" in next(iter(passed.values()))


def test_a_run_whose_checkpoints_are_all_damaged_does_not_begin_anew_by_itself(tmp_path, variables):
    for step in (1, 2):
        resume.save(str(tmp_path), step, variables=variables, settings={}, keep=resume.Keep(3))
        damage(tmp_path, step)
    with pytest.raises(UserError, match=r"no checkpoint is sound; the newest, .*step-00000002: .* remove .* anew"):
        resume.restore(resume.find(str(tmp_path)), variables=variables, settings={})


@pytest.mark.parametrize("name", ["checkpoint.json", "state.safetensors"])
def test_one_that_cannot_be_read_is_not_taken_for_damaged(tmp_path, variables, monkeypatch, name):
    for step in (1, 2):
        resume.save(str(tmp_path), step, variables=variables, settings={}, keep=resume.Keep(3))
    reading = storage.reading

    def refused(path):
        if path.endswith(f"step-00000002/{name}"):
            raise UserError(f"{path} cannot be reached for 60 s")
        return reading(path)

    monkeypatch.setattr(storage, "reading", refused)
    with pytest.raises(UserError, match=rf"step-00000002/{name} cannot be reached"):
        resume.restore(resume.find(str(tmp_path)), variables=variables, settings={})


def test_a_folder_that_cannot_be_listed_is_not_taken_for_empty(tmp_path, monkeypatch):
    def denied(folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "listdir", denied)
    with pytest.raises(UserError, match="cannot be read: permission denied"):
        resume.find(str(tmp_path))


def described(folder, step, change):
    path = folder / f"step-{step:08d}" / "checkpoint.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


NOT_WHOLE = [
    lambda content: content.update(settings=["learning_rate"]),
    lambda content: content.update(step=1),
    lambda content: content.pop("sha256"),
]


@pytest.mark.parametrize(
    ("change", "has_checksum"),
    [
        (lambda content: content["settings"].update(learning_rate=0.002), True),
        *itertools.product(NOT_WHOLE, (True, False)),
    ],
)
def test_a_damaged_description_is_passed_over(tmp_path, variables, change, has_checksum):
    settings = {"learning_rate": 0.003}
    for step in (1, 2):
        resume.save(str(tmp_path), step, variables=variables, settings=settings, keep=resume.Keep(3))
    described(tmp_path, 2, lambda content: has_checksum or content.pop("description_sha256"))
    described(tmp_path, 2, change)
    found, passed = resume.restore(resume.find(str(tmp_path)), variables=variables, settings=settings)
    assert found is not None
    assert found.step == 1
    assert list(passed.values()) == ["its checkpoint.json is not what was written"]


def test_a_checkpoint_of_before_has_no_checksum_of_its_description_and_does_not_tell_init(tmp_path, variables):
    resume.save(str(tmp_path), 1, variables=variables, settings={"rows": 2}, keep=resume.Keep(3))
    described(tmp_path, 1, lambda content: content.pop("description_sha256"))
    found, passed = resume.restore(resume.find(str(tmp_path)), variables=variables, settings={"rows": 2, "init": "a"})
    assert found is not None
    assert (found.step, passed) == (1, {})


def test_other_settings_are_refused_with_both_values(tmp_path, variables):
    resume.save(str(tmp_path), 1, variables=variables, settings={"batch_size": 8}, keep=resume.Keep(3))
    with pytest.raises(UserError, match="made with batch_size 8, this run has 16"):
        resume.restore(resume.find(str(tmp_path)), variables=variables, settings={"batch_size": 16})
