"""The report: everything that was measured is in it, nothing of a corpus is taken for markup, browsers are content."""

import dataclasses
import json
import shutil
from pathlib import Path

import markupsafe
import numpy as np
import pytest

from xlnet import plots, report, runs, vocab
from xlnet.corpus import layouts
from xlnet.corpus.manifest import Manifest, Shard
from xlnet.corpus.settings import CorpusSettings
from xlnet.corpus.streams import Stream
from xlnet.drawing import draw
from xlnet.errors import UserError
from xlnet.report import Task
from xlnet.text import Tokenizer

HOSTILE = "<script>alert(1)</script><img src=http://127.0.0.1:9/x.png onerror='x()'>"
WORDS = "the cat sat on a mat while warm rain fell over town and all birds would sing or sleep in old trees"
SETTINGS = CorpusSettings(sequence_length=32, reuse_length=16, permutation_size=16, predictions=6, shards=1, seed=3)


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("vocabulary")
    (folder / "text.txt").write_text("\n".join(sentences(400)) + "\n")
    vocab.train([str(folder / "text.txt")], str(folder / "spiece.model"), settings=vocab.VocabularySettings(size=46))
    return Tokenizer((folder / "spiece.model").read_bytes())


def sentences(count: int) -> list[str]:
    drawn = np.random.default_rng(0).choice(WORDS.split(), (count, 8))
    return [" ".join(words) + "." for words in drawn]


def write_shard(tokenizer: Tokenizer, path: Path) -> int:
    """A file of records of the sentences; how many there are."""
    ids, counts = tokenizer.encode_lines(sentences(60))
    stream = Stream(ids, np.cumsum(counts)[:-1].astype(np.int64))
    layout = {"settings": SETTINGS, "vocabulary_size": tokenizer.size, "is_word_start": tokenizer.is_word_start}
    with path.open("wb") as target:
        return layouts.write(target, stream, **layout, pass_index=0, shard=0).records


@pytest.fixture
def example(tokenizer, tmp_path) -> dict[str, np.ndarray]:
    """A decoded record."""
    write_shard(tokenizer, tmp_path / "0.tfrecord")
    return next(layouts.read(str(tmp_path / "0.tfrecord"), SETTINGS))


def put_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def put_lines(path: Path, lines: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@dataclasses.dataclass(frozen=True)
class Run:
    """A small run on disk."""

    root: Path

    def write(self, **changes) -> str:
        given = {
            "data": str(self.root / "data"),
            "validation": str(self.root / "data"),
            "pretraining": str(self.root / "pretraining"),
            "tasks": [self.task("pretrained"), self.task("from scratch")],
            "exported": str(self.root / "exported"),
            "timings": {"vocabulary": 3.5, "pretraining": 125.0},
            "title": f"A title {HOSTILE}",
        }
        report.write(str(self.root / "report.html"), **{**given, **changes})
        return (self.root / "report.html").read_text()

    def task(self, name: str) -> Task:
        return Task(name, str(self.root / "finetuned"), str(self.root / "evaluation"))


@pytest.fixture
def run(tmp_path, tokenizer) -> Run:
    data = tmp_path / "data"
    (data / "shards").mkdir(parents=True)
    made = write_shard(tokenizer, data / "shards/0.tfrecord")
    (data / "spiece.model").write_bytes(tokenizer._model)
    np.save(data / "piece-counts.npy", np.arange(tokenizer.size))
    put_lines(data / "dead-letters.jsonl", [{"path": "a.txt", "line": 7, "reason": "no text", "excerpt": HOSTILE}])
    put_lines(data / "removed.jsonl", [{"path": "b.txt", "line": 9, "reason": "symbols", "excerpt": f"*** {HOSTILE}"}])
    manifest = Manifest(
        settings=SETTINGS,
        cleaning={"most_symbols": 0.3},
        vocabulary={"file": "spiece.model", "sha256": tokenizer.sha256, "size": tokenizer.size},
        sources=[
            {"name": "books", "weight": 1.0, "patterns": ["a.txt"]},
            {"name": HOSTILE, "weight": 2.0, "patterns": []},
        ],
        inputs=[{"path": "a.txt", "bytes": 4321, "crc32c": "01234567", "source": 0, "part": 0}],
        counts={
            **{"documents_in": 1254, "documents_out": 1231, "documents_removed": 20, "dead_letters": 3},
            **{"characters": 98765, "pieces": 20000, "pieces_removed": 0, "pieces_in_pass": 20000},
            **{"pieces_in_records": 19960, "pieces_dropped": 40, "unknown_pieces": 25, "records": made},
        },
        dropped={"tail": 40},
        removed={"symbols": {"documents": 20, "paragraphs": 0, "characters": 7654, "pieces": 0}},
        dead_letter_reasons={"no text": 2, HOSTILE: 1},
        document_lengths={"16": 7, "8": 4, "1024": 1220},
        by_source=[
            {"name": "books", "documents": 1000, "characters": 90000, "pieces": 18000, "unknown_pieces": 5},
            {"name": HOSTILE, "documents": 231, "characters": 8765, "pieces": 2000, "unknown_pieces": 20},
        ],
        shards=[Shard("shards/0.tfrecord", 0, 0, 0, made, 1231, 20000, {"tail": 40}, 5_600_000, "ab" * 32, "cd")],
        libraries={"numpy": "2.0.1"},
    )
    (data / "manifest.json").write_bytes(manifest.to_bytes())
    _put_training(tmp_path)
    return Run(tmp_path)


def _put_training(root: Path) -> None:
    steps = [{"step": step, "loss": 5 - step / 50, "pieces_per_second": 900.0} for step in range(10, 101, 10)]
    put_lines(root / "pretraining/metrics.jsonl", [*steps, {"step": 100, "validation_loss": 3.25}])
    summary = {"steps": 100, "seconds": 125.0, "loss": 3.0, "validation_loss": 3.25, "unigram_loss": 4.5}
    summary |= {"mfu": 0.614, "teraflops_per_second": 0.123, "data_wait": 0.0042, "memory_bytes": 700 * 2**20}
    summary |= {"training_seconds": 90.0, "repeated_seconds": 7.0}
    summary |= {"validation_loss_by_position": [3.5, 3.4, 3.3, 3.2, 3.3, 3.2, 3.1, 0.0]}
    put_json(root / "pretraining/summary.json", {**summary, "settings": {"batch_size": 8}, "model": {"layers": 2}})
    (root / "pretraining/model").mkdir()
    (root / "pretraining/model/model.safetensors").write_bytes(b"weights")
    put_lines(root / "finetuned/metrics.jsonl", [{"step": 10, "loss": 1.0}, {"step": 20, "loss": 0.5}])
    put_json(root / "finetuned/summary.json", {"seconds": 9.0, "settings": {"learning_rate": 2e-5}})
    put_json(
        root / "evaluation/evaluation.json",
        {
            "task": "classification",
            "examples": 20,
            "metrics": {"accuracy": 0.85, "macro_f1": 0.84, "matthews": None},
            "majority": {"class": "no", "accuracy": 0.55, "macro_f1": 0.35},
            "classes": ["no", HOSTILE],
            "confusion": [[10, 1], [2, 7]],
            "per_class": [
                {"class": "no", "precision": 0.83, "recall": 0.91, "f1": 0.87, "support": 11},
                {"class": HOSTILE, "precision": 0.88, "recall": 0.78, "f1": 0.82, "support": 9},
            ],
        },
    )
    wrong = {"text": f"surely wrong {HOSTILE}", "truth": "no", "predicted": HOSTILE, "probabilities": [0.01, 0.99]}
    right = {"text": "rightly so", "truth": "no", "predicted": "no", "probabilities": [0.999, 0.001]}
    put_lines(root / "evaluation/predictions.jsonl", [right, wrong])
    put_json(root / "exported/1/model-card.json", {"signature": "serving_default"})


def test_what_was_measured_stands_on_the_page(run):
    page = run.write()
    for figure in (
        "1,254",
        "7,654",
        "*** ",
        "b.txt:9",
        "1.000",
        "18,000",
        "98,765",
        "0.125",
        "3.250",
        "61.4 %",
        "0.42 %",
        "700 MB",
        "Held-out loss by position",
        "4.500",
        "85.0",
        "55.0",
        "2 min 05 s",
        "5.6 MB",
        "numpy",
    ):
        assert figure in page, figure
    assert "ab" * 32 in page
    assert "1.250 nats lower" in page
    assert runs.checksum(str(run.root / "pretraining/model"), "model.safetensors")[0][1] in page
    assert "serving_default" in page
    assert page.index("8–15") < page.index("16–31") < page.index("1,024–2,047")
    assert "surely wrong" in page
    assert "rightly so" not in page


def test_what_no_data_set_has_is_no_row(run):
    assert "documents removed by cleaning" in run.write()
    manifest = Manifest.read(str(run.root / "data"))
    counts = {**manifest.counts, "documents_in": 1234, "documents_removed": 0}
    one = {"sources": manifest.sources[:1], "by_source": manifest.by_source[:1], "removed": {}}
    changed = dataclasses.replace(manifest, counts=counts, **one)
    (run.root / "data/manifest.json").write_bytes(changed.to_bytes())
    page = run.write()
    for absent in ("removed by cleaning", "Removed by cleaning", "removed as duplicates", "Sources"):
        assert absent not in page, absent


def test_nothing_of_the_inputs_becomes_markup(run):
    page = run.write(tasks=[run.task(HOSTILE)])
    assert "<script" not in page
    assert "<img" not in page
    assert page.count(markupsafe.escape(HOSTILE)) > 8


def test_same_inputs_same_bytes(run):
    assert run.write() == run.write()


def test_what_is_not_given_is_left_out(run):
    page = run.write(validation=None, pretraining=None, tasks=[], exported=None, timings=None)
    assert 'id="pretraining"' not in page
    assert 'id="tasks"' not in page
    assert "<svg" not in page
    assert 'id="record"' in page


def test_without_timings_the_stages_own_are_shown(run):
    page = run.write(timings=None)
    assert "fine-tuning: from scratch" in page
    assert "in all stages" not in page


def test_a_regression_is_shown_without_classes(run):
    metrics = {"pearson": 0.75, "spearman": None, "mean_squared_error": 0.5}
    evaluation = {"task": "regression", "examples": 2, "metrics": metrics}
    put_json(run.root / "evaluation/evaluation.json", {**evaluation, "mean": {"value": 2, "mean_squared_error": 1.5}})
    put_lines(
        run.root / "evaluation/predictions.jsonl",
        [{"text": "near", "truth": 1.0, "predicted": 1.1}, {"text": "far", "truth": 1.0, "predicted": 3.0}],
    )
    page = run.write()
    assert "0.750" in page
    assert "always the mean" in page
    assert page.index(">far<") < page.index(">near<")


@pytest.mark.parametrize(
    ("kind", "line", "figure"),
    [
        (
            "question-answering",
            {"question": "who?", "context": "not he", "truth": ["I"], "predicted": "he", "exact": 0.0, "f1": 0.0}
            | {"answers": [{"text": "he", "probability": 0.9, "start": 4, "end": 6}]},
            "F1",
        ),
        (
            "token-classification",
            {"words": ["who?"], "truth": ["B-X"], "predicted": ["O"], "confidences": [0.7]},
            "F1",
        ),
        (
            "multiple-choice",
            {"passage": "p", "question": "who?", "options": ["I", "he"], "truth": "A", "predicted": "B"}
            | {"probabilities": [0.3, 0.7]},
            "accuracy",
        ),
    ],
)
def test_every_kind_of_task_is_shown(run, kind, line, figure):
    evaluation = {"task": kind, "examples": 2, "metrics": {figure.lower(): 0.123, "other": None}, "entities": {}}
    put_json(run.root / "evaluation/evaluation.json", evaluation)
    put_lines(run.root / "evaluation/predictions.jsonl", [line])
    page = run.write().replace("\u202f", " ")
    assert f"<b>12.3 %</b><span>{figure}, pretrained</span>" in page
    assert ">who?<" in page


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("data/manifest.json", None),
        ("data/shards/0.tfrecord", b"cut"),
        ("data/piece-counts.npy", b"no array"),
        ("data/dead-letters.jsonl", b'{"path": \n'),
        ("data/spiece.model", b"no model"),
        ("pretraining/metrics.jsonl", b"[1]\n"),
        ("pretraining/metrics.jsonl", b'{"loss": 1}\n'),
        ("pretraining/summary.json", b"{}"),
        ("pretraining/summary.json", None),
        ("finetuned/summary.json", b"[]"),
        ("evaluation/evaluation.json", b'{"task": "classification"}'),
        ("evaluation/predictions.jsonl", b'{"text": "no answer"}\n'),
        ("exported", None),
    ],
)
def test_missing_or_broken_inputs_are_named(run, file, content):
    path = run.root / file
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as raised:
        run.write()
    assert str(path) in str(raised.value) or (file == "data/manifest.json" and "data has no" in str(raised.value))
    assert "\n" not in str(raised.value)
    assert not (run.root / "report.html").exists()


def test_an_output_that_is_a_folder_is_refused(run):
    with pytest.raises(UserError, match="is a folder"):
        report.write(str(run.root), data=str(run.root / "data"))


def test_tasks_from_the_command_line():
    assert Task.parse("a=b=c,d") == Task("a", "b=c", "d")
    for text in ("", "a=b", "=b,c", "a,b"):
        with pytest.raises(UserError, match="NAME=FINETUNED,EVALUATION"):
            Task.parse(text)


def test_a_drawing_tells_what_the_record_holds(tokenizer, example):
    drawing = draw(example, tokenizer=tokenizer, settings=SETTINGS)
    places = [piece.place for piece in drawing.pieces]
    assert [i for i, place in enumerate(places) if place] == np.flatnonzero(example["is_masked"]).tolist()
    for half in (slice(16), slice(16, 32)):
        ordered = sorted((place, example["order"][half][i]) for i, place in enumerate(places[half]) if place)
        assert [order for _, order in ordered] == sorted(order for _, order in ordered)
        assert [place for place, _ in ordered] == list(range(1, len(ordered) + 1))
    assert [p.segment for p in drawing.pieces] == ["reuse"] * 16 + ["AB"[min(s, 1)] for s in example["seg_id"][16:]]
    assert [p.text for p in drawing.pieces if p.functional] == ["<sep>", "<sep>", "<cls>"]


def test_a_target_sees_the_earlier_targets_of_its_half_and_not_itself(tokenizer, example):
    drawing = draw(example, tokenizer=tokenizer, settings=SETTINGS)
    targets = [piece for piece in drawing.pieces[16:] if piece.place]
    chosen = drawing.chosen
    assert chosen.place == 2 == (drawing.of + 1) // 2
    assert not chosen.seen
    assert [piece.seen for piece in sorted(targets, key=lambda piece: piece.place)] == [True, False, False]
    assert all(piece.seen for piece in drawing.pieces[:16])
    assert all(piece.seen for piece in drawing.pieces if not piece.place and not piece.functional)
    assert drawing.sees == sum(piece.seen for piece in drawing.pieces)


def test_curves_take_the_colours_of_the_page():
    curve = plots.Curve("a $b$ <c>", [(1, 2.0), (5, 1.0)])
    svg = plots.lines([curve], name="x", label='"q"', unit="y", levels=[plots.Level("base", 1.5)])
    assert "var(--series-1)" in svg
    assert "#0" not in svg
    assert "http" not in svg
    assert "a $b$ &lt;c&gt;" in svg
    assert 'aria-label="&#34;q&#34;"' in svg


def test_thinned_curves_keep_their_mean():
    curve = [(float(step), float(step % 7)) for step in range(1000)]
    thin = runs.thinned(curve, most=100)
    assert len(thin) == 100
    assert np.mean([y for _, y in thin]) == pytest.approx(np.mean([y for _, y in curve]))
    assert runs.thinned([]) == []


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_opens_it_without_complaint_request_or_overflow(run, browser, width):
    run.write(tasks=[run.task("pretrained"), run.task("a rather long name of a task " + "x" * 60)])
    said, asked, wide = browser.open((run.root / "report.html").as_uri(), width=width)
    assert said == []
    assert asked == []
    assert wide <= width


@pytest.mark.slow
def test_the_browser_would_have_noticed(browser, tmp_path):
    page = (
        "<body><img src=http://127.0.0.1:9/x.png><div style='width:2000px'>x</div><script>console.error(1);y()</script>"
    )
    (tmp_path / "bad.html").write_text(page)
    said, asked, wide = browser.open((tmp_path / "bad.html").as_uri(), width=390)
    assert len(said) >= 2
    assert asked == ["http://127.0.0.1:9/x.png"]
    assert wide >= 2000
