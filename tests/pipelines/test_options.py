"""Beam's options as the user wrote them: one line for what is wrong."""

import pytest
from apache_beam.options.pipeline_options import DirectOptions, StandardOptions

from pipelines import options, preprocess, sample
from xlnet.corpus.settings import CorpusSettings
from xlnet.errors import UserError
from xlnet.sampling import Plan

WRONG = [
    (["nonsense"], "'nonsense' is not a Beam option; write --beam=--name=value"),
    ([""], "'' is not a Beam option"),
    (["--streaming", "--job_name=a", "b"], "'b' is not a Beam option"),
    (["--job_nam=a"], "unknown Beam option --job_nam; did you mean 'job_name'"),
    (["--direct_num_workers=two"], "argument --direct_num_workers: invalid int value: 'two'"),
    (["--help"], "asks for help"),
    (["--runner=Nonsense"], "no runner 'Nonsense' here; give one of .*FlinkRunner"),
    (["--runner=no.such.Runner"], r"no runner 'no\.such\.Runner' here"),
]


def test_options_are_read_with_their_values_in_one_word_or_two():
    found = options.read(["--direct_num_workers", "2", "--runner=FlinkRunner", "--what_a_job_server_knows=1"])
    assert found.view_as(DirectOptions).direct_num_workers == 2
    assert found.view_as(StandardOptions).runner == "FlinkRunner"


@pytest.mark.parametrize(("flags", "message"), WRONG)
def test_what_is_no_option_is_one_line(flags, message, capfd):
    with pytest.raises(UserError, match=message) as caught:
        options.read(flags)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("flags", "message"), WRONG[-4:])
def test_nothing_is_written_before_the_options_are_right(flags, message, text, vocabulary, tmp_path):
    output = str(tmp_path / "out")
    with pytest.raises(UserError, match=message):
        preprocess.run([str(text[0])], output, vocabulary=vocabulary, settings=CorpusSettings(), options=flags)
    with pytest.raises(UserError, match=message):
        sample.draw([], Plan(size=1, seed=0, weights=(1.0,)), beside=output, options=flags)
    assert list(tmp_path.iterdir()) == []
