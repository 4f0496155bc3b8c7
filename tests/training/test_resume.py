import keras
import numpy as np
import pytest
from keras import ops

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
    assert (found.step, passed) == (7, [])
    np.testing.assert_array_equal(ops.convert_to_numpy(variables["weights"]), np.arange(6.0).reshape(2, 3))


def test_only_the_newest_are_kept(tmp_path, variables):
    for step in (1, 2, 3, 10):
        resume.save(str(tmp_path), step, variables=variables, settings={}, keep=resume.Keep(2))
    assert [checkpoint.step for checkpoint in resume.find(str(tmp_path))] == [3, 10]


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(tmp_path, variables):
    for step in (1, 2):
        resume.save(str(tmp_path), step, variables=variables, settings={}, keep=resume.Keep(3))
    state = tmp_path / "step-00000002" / "state.safetensors"
    content = bytearray(state.read_bytes())
    content[-1] ^= 1
    state.write_bytes(content)
    found, passed = resume.restore(resume.find(str(tmp_path)), variables=variables, settings={})
    assert found is not None
    assert found.step == 1
    assert len(passed) == 1
    assert "step-00000002 is passed over" in passed[0]


def test_a_folder_without_its_description_is_no_checkpoint(tmp_path, variables):
    resume.save(str(tmp_path), 1, variables=variables, settings={}, keep=resume.Keep(3))
    (tmp_path / "step-00000001" / "checkpoint.json").unlink()
    found, passed = resume.restore(resume.find(str(tmp_path)), variables=variables, settings={})
    assert found is None
    assert "does not exist" in passed[0]


def test_other_settings_are_refused_with_both_values(tmp_path, variables):
    resume.save(str(tmp_path), 1, variables=variables, settings={"batch_size": 8}, keep=resume.Keep(3))
    with pytest.raises(UserError, match="made with batch_size 8, this run has 16"):
        resume.restore(resume.find(str(tmp_path)), variables=variables, settings={"batch_size": 16})
