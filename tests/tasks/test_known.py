"""Published data sets by their own files: small ones made here, and the real ones where they are."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from xlnet.errors import UserError
from xlnet.tasks import known, registry, sentence
from xlnet.text import Tokenizer
from xlnet.training.finetuning_settings import FinetuningSettings

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
GLUE = {  # two rows as published: what is read of them
    "cola": ("gj04\t1\t\tThey drank.\nbc01\t0\t*\tThem drank.\n", ["They drank.", "Them drank."], None, ["1", "0"]),
    "sst-2": ("sentence\tlabel\nso good \t1\nbad\t0\n", ["so good ", "bad"], None, ["1", "0"]),
    "mrpc": (
        '\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t7\t8\tHe said.\t" He " said.\n0\t9\t10\tA\tB\n',
        ["He said.", "A"],
        ['" He " said.', "B"],
        ["1", "0"],
    ),
    "sts-b": (
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
        "0\tg\tf\t2012\t1\tn\tn\tA plane.\tAn air plane.\t5.000\n1\tg\tf\t2012\t2\tn\tn\tC\tD\t0.4\n",
        ["A plane.", "C"],
        ["An air plane.", "D"],
        ["5.000", "0.4"],
    ),
    "qqp": (
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n1\t2\t3\tWhy?\tHow?\t0\n4\t5\t6\tWho?\t\t1\n",
        ["Why?", "Who?"],
        ["How?", ""],
        ["0", "1"],
    ),
    "mnli": (
        "index\tpromptID\tpairID\tgenre\ta\tb\tc\td\tsentence1\tsentence2\tlabel1\tgold_label\n"
        "0\t1\t1n\tg\t(\t(\t(\t(\tP\tH\tneutral\tneutral\n1\t1\t1n\tg\t(\t(\t(\t(\tQ\tI\tneutral\tentailment\n",
        ["P", "Q"],
        ["H", "I"],
        ["neutral", "entailment"],
    ),
    "qnli": (
        "index\tquestion\tsentence\tlabel\n0\tWhen?\tIn 1990.\tentailment\n1\tW\tS\tnot_entailment\n",
        ["When?", "W"],
        ["In 1990.", "S"],
        ["entailment", "not_entailment"],
    ),
    "rte": (
        "index\tsentence1\tsentence2\tlabel\n0\tA\tB\tnot_entailment\n1\tC\tD\tentailment\n",
        ["A", "C"],
        ["B", "D"],
        ["not_entailment", "entailment"],
    ),
    "wnli": ("index\tsentence1\tsentence2\tlabel\n0\tA\tB\t1\n1\tC\tD\t0\n", ["A", "C"], ["B", "D"], ["1", "0"]),
}


def write(path: Path, content: str) -> str:
    path.write_text(content, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", GLUE)
def test_the_files_of_glue_are_read_as_published(tmp_path, name):
    content, texts, pairs, labels = GLUE[name]
    found = known.read(write(tmp_path / "train.tsv", content), name)
    assert (found.texts, found.pairs, found.labels, found.left_out) == (texts, pairs, labels, {})
    classes = known.DATA_SETS[name].classes
    sentence.targets(found, None if classes is None else list(classes))


def test_the_official_metrics_are_those_of_glue():
    official = {name: known.DATA_SETS[name].metrics for name in GLUE}
    assert official == {
        "cola": ("matthews",),
        "sst-2": ("accuracy",),
        "mrpc": ("accuracy", "f1"),
        "sts-b": ("pearson", "spearman"),
        "qqp": ("accuracy", "f1"),
        "mnli": ("accuracy",),
        "qnli": ("accuracy",),
        "rte": ("accuracy",),
        "wnli": ("accuracy",),
    }
    assert [name for name in known.DATA_SETS if known.DATA_SETS[name].positive] == ["mrpc", "qqp"]


@pytest.mark.parametrize("name", GLUE)
def test_each_task_of_glue_is_measured_by_its_official_metrics(tmp_path, vocabulary, name):
    path = write(tmp_path / "dev.tsv", GLUE[name][0])
    settings = FinetuningSettings(task=name, sequence_length=16)
    task, examples = registry.kind_of(settings.kind).prepare(path, settings)
    features = task.features(Tokenizer(vocabulary), examples)
    classes = task.head["classes"]
    truth = features.targets["label"]
    right = truth if classes is None else np.eye(len(classes), dtype=np.float32)[truth]
    official = known.DATA_SETS[name].metrics
    assert task.best == official[0]
    for outputs, wanted in ((right, 1.0), (right[::-1].copy(), -1.0 if classes is None or name == "cola" else 0.0)):
        found = task.measure(examples, features, outputs)["metrics"]
        assert [found[metric] for metric in official] == [pytest.approx(wanted)] * len(official)


REVIEWS = {
    "yelp-5": ('"5","He said ""fine"".\\nAnd \\""paid\\""."\n"1","no"\n', ['He said "fine". And "paid".', "no"], 5),
    "yelp-2": ('"2","a"\n"1","b"\n', ["a", "b"], 2),
    "amazon-2": ('"2","Great","It\\nworks."\n"1","","Broke."\n', ["Great It works.", " Broke."], 2),
    "amazon-5": ('"4","A","B, C"\n"1","D","E"\n', ["A B, C", "D E"], 5),
    "dbpedia": ('14,"Title"," A text, with commas."\n2,"T"," U"\n', ["Title  A text, with commas.", "T  U"], 14),
    "ag-news": ('"3","T","D"\n"1","U","E"\n', ["T D", "U E"], 4),
}


@pytest.mark.parametrize("name", REVIEWS)
def test_csv_files_without_a_header_join_title_and_text(tmp_path, name):
    content, texts, count = REVIEWS[name]
    found = known.read(write(tmp_path / "test.csv", content), name)
    assert found.texts == texts
    assert found.pairs is None
    classes = list(known.DATA_SETS[name].classes)
    assert classes == [str(number) for number in range(1, count + 1)]
    assert [classes[number] for number in sentence.targets(found, classes)] == found.labels


def test_imdb_is_folders_of_reviews_and_those_without_a_rating_are_not_read(tmp_path):
    for name, text in {"pos/2_9.txt": " So<br /><br />good ", "neg/1_1.txt": "no", "unsup/3_0.txt": "?"}.items():
        (tmp_path / name).parent.mkdir()
        write(tmp_path / name, text)
    found = known.read(str(tmp_path), "imdb")
    assert (found.texts, found.labels) == (["no", "So  good"], ["neg", "pos"])
    assert found.where(1) == f"{tmp_path}/pos/2_9.txt"
    (tmp_path / "pos" / "2_9.txt").write_bytes(b"caf\xe9")
    with pytest.raises(UserError, match=r"pos/2_9\.txt: invalid UTF-8 \(byte 0xe9\)"):
        known.read(str(tmp_path), "imdb")
    write(tmp_path / "pos" / "2_9.txt", "<br />")
    with pytest.raises(UserError, match=r"pos/2_9\.txt: the text is empty"):
        known.read(str(tmp_path), "imdb")
    with pytest.raises(UserError, match=r"has no folder 'neg'; wanted are neg and pos"):
        known.read(str(tmp_path / "unsup"), "imdb")


def test_rows_that_nobody_labelled_are_left_out_and_counted(tmp_path):
    rows = "entailment\tA\tB\n-\tC\tD\nneutral\tE\tF\n"
    found = known.read(write(tmp_path / "snli_1.0_dev.txt", "gold_label\tsentence1\tsentence2\n" + rows), "snli")
    assert (found.texts, found.lines, found.left_out) == (["A", "E"], [2, 4], {"unlabelled": 1})
    with pytest.raises(UserError, match=r"none.txt: all of the 1 examples are marked as unlabelled"):
        known.read(write(tmp_path / "none.txt", "gold_label\tsentence1\tsentence2\n-\tA\tB\n"), "snli")


def test_a_few_broken_rows_are_left_out_and_counted_many_are_refused(tmp_path):
    head, row = "index\tquestion\tsentence\tlabel\n", "0\tQ\tS\tentailment\n"
    found = known.read(write(tmp_path / "a.tsv", head + 120 * row + "7\tcut\n" + row), "qnli")
    assert len(found) == 121
    assert found.left_out == {"broken": 1}
    with pytest.raises(UserError, match=r"b\.tsv:5: the row has another number of columns .* as 2 of 5 have"):
        known.read(write(tmp_path / "b.tsv", head + 3 * row + 2 * "7\tcut\n"), "qnli")


def test_what_is_wrong_is_named_with_file_and_line(tmp_path):
    head = "index\tsentence1\tsentence2\tlabel\n"
    with pytest.raises(UserError, match=r"a\.tsv:3: column 'sentence2' is empty"):
        known.read(write(tmp_path / "a.tsv", head + "0\tA\tB\tentailment\n1\tC\t \tentailment\n"), "rte")
    with pytest.raises(UserError, match=r"a\.tsv:2: column 'label' is empty"):
        known.read(write(tmp_path / "a.tsv", head + "0\tA\tB\t\n"), "rte")
    with pytest.raises(UserError, match=r"a\.tsv:1: no column 'question'; found: 'index', 'sentence1'"):
        known.read(write(tmp_path / "a.tsv", head + "0\tA\tB\tx\n"), "qnli")
    found = known.read(write(tmp_path / "a.tsv", head + "0\tA\tB\tmaybe\n"), "rte")
    with pytest.raises(UserError, match=r"a\.tsv:2: the label 'maybe' is unknown .* 'entailment', 'not_entailment'"):
        sentence.targets(found, list(known.DATA_SETS["rte"].classes))
    with pytest.raises(UserError, match=r"is a folder; rte is read from one file, for example .*/train\.tsv"):
        known.read(str(tmp_path), "rte")


REAL = {
    "finetune/stsb/train.tsv": ("sts-b", 2999, None),
    "finetune/snli-mnli-format/train.tsv": ("mnli", 9842, {"contradiction": 3278, "entailment": 3329, "neutral": 3235}),
    "finetune/snli-mnli-format/dev_matched.tsv": ("mnli", 2402, None),
    "finetune/rt-polarity-sst2-format/train.tsv": ("sst-2", 8662, None),
    "finetune/uci-sentences-yelp5-format/train.csv": ("yelp-5", 1982, None),
    "licence-unclear/imdb/train": ("imdb", 600, {"neg": 300, "pos": 300}),
}


@pytest.mark.parametrize("path", REAL)
def test_real_files_are_read_whole(path):
    name, count, labels = REAL[path]
    if not (SHARED / path).exists():
        pytest.skip(f"the data set {path} is not here")
    found = known.read(str(SHARED / path), name)
    assert len(found) == count
    assert found.left_out == {}
    classes = known.DATA_SETS[name].classes
    assert len(sentence.targets(found, None if classes is None else list(classes))) == count
    assert labels is None or Counter(found.labels) == labels
