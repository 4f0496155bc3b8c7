import pytest

from xlnet.corpus import sources
from xlnet.corpus.sources import Source
from xlnet.errors import UserError


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["a/*.txt"], [Source("text", 1.0, ("a/*.txt",))]),
        (["gs://b/a.txt"], [Source("text", 1.0, ("gs://b/a.txt",))]),
        (
            ["books=gs://b/*.gz:2.0", "zh=x.txt:.5"],
            [Source("books", 2.0, ("gs://b/*.gz",)), Source("zh", 0.5, ("x.txt",))],
        ),
        (["b=2.txt", "b=1.txt:3", "b=2.txt"], [Source("b", 3.0, ("1.txt", "2.txt"))]),
        (["C:/texts/a.txt"], [Source("text", 1.0, ("C:/texts/a.txt",))]),
    ],
)
def test_sources_are_read_as_they_are_written(texts, expected):
    assert sources.parse(texts) == expected


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["a=b:0"], "weight in 'a=b:0' is 0, wanted is more than 0"),
        (["a=b:1000"], "is 1000, wanted is more than 0 and at most 100"),
        (["a=b:1", "a=c:2"], "source 'a' has the weights 1 and 2"),
        (["b:2"], "'b:2' has a weight and no name; write name=b:2"),
    ],
)
def test_what_cannot_be_a_source_is_refused(texts, message):
    with pytest.raises(UserError, match=message):
        sources.parse(texts)


def test_a_file_with_such_a_name_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b:2").write_text("text")
    assert sources.parse(["a=b:2"]) == [Source("text", 1.0, ("a=b:2",))]


def test_a_file_belongs_to_one_source(tmp_path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("text")
    found = sources.listed(sources.parse([f"x={tmp_path}/a.txt", f"y={tmp_path}/b.txt"]))
    assert [(index, file.path[-5:], file.bytes) for index, file in found] == [(0, "a.txt", 4), (1, "b.txt", 4)]
    with pytest.raises(UserError, match=r"a\.txt belongs to the sources 'x' and 'y'"):
        sources.listed(sources.parse([f"x={tmp_path}/a.txt", f"y={tmp_path}/*.txt"]))
    with pytest.raises(UserError, match=r"a\.txt belongs to the sources 'x' and 'y'"):
        sources.listed(sources.parse([f"x={tmp_path}/a.txt", f"y={tmp_path}/../{tmp_path.name}/a.txt"]))
