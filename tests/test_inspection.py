import dataclasses
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipelines.preprocess import run
from xlnet import card, inspection, storage
from xlnet.corpus import layouts, reference
from xlnet.corpus.manifest import Manifest
from xlnet.drawing import draw
from xlnet.errors import UserError
from xlnet.inspection import LEGEND, SUBSCRIPTS, inspect
from xlnet.special_pieces import CLS, EOD, EOP, SEP
from xlnet.text import SPACE, Tokenizer

DIGITS = {after: chr(before) for before, after in SUBSCRIPTS.items()}
SUBSCRIPT = re.compile(f"[{''.join(map(chr, DIGITS))}]+")


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    """A terminal on which a record is one line."""
    monkeypatch.setenv("COLUMNS", "100000")


@pytest.fixture
def damaged(small_data, tmp_path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(small_data, tmp_path / "set"))


@pytest.fixture(scope="module")
def tokenizer(small_data) -> Tokenizer:
    return Tokenizer(storage.join(small_data, "spiece.model"))


def first_records(data, count):
    manifest = Manifest.read(data)
    shards = (storage.join(data, shard.file) for shard in manifest.shards)
    rows = (record for shard in shards for record in layouts.read(shard, manifest.settings))
    return [next(rows) for _ in range(count)]


def drawn_lines(out: str) -> list[tuple[str, str]]:
    """Of each record the line that shows it and the line that shows what its target sees."""
    blocks = out.split(LEGEND)[1:]
    return [(lines[2], lines[6]) for lines in (block.split("\n") for block in blocks)]


def surfaces(record, tokenizer):
    """How long each position is drawn, and whether a space stands before it."""
    marks = {EOP: "¶", EOD: "◼"}
    pieces = [(int(piece), tokenizer.piece(int(piece))) for piece in record["input"]]
    texts = [marks.get(number) or (surface.removeprefix(SPACE) or "␣") for number, surface in pieces]
    return texts, [surface.startswith((SPACE, "<")) for _, surface in pieces]


def cut(line: str, texts: list[str], spaced: list[bool]) -> list[str]:
    """A line of sight, where each piece is as long as it is in the text, cut into its pieces."""
    at, found = 0, []
    for text, space in zip(texts, spaced, strict=True):
        at += space and at > 0
        found.append(line[at : at + len(text)])
        at += len(text)
    assert at == len(line)
    return found


def test_the_summary_s_figures_are_the_manifest_s(small_data, capsys):
    inspect(small_data, count=0)
    told = dict(re.split(r"  +", line.strip(), maxsplit=1) for line in capsys.readouterr().out.splitlines()[1:] if line)
    manifest = Manifest.read(small_data)
    for name, count in manifest.counts.items():
        assert told[name.replace("_", " ")] == f"{count:,}"
    size = sum((Path(small_data) / shard.file).stat().st_size for shard in manifest.shards)
    assert told["shards"].startswith(f"6, {size:,} bytes, ")
    assert told["windows"] == "32 pieces, 16 of them reused"
    assert told["targets"] == "6 a record, spans of 1 to 5 words"
    assert told["vocabulary"] == f"500 pieces, SHA-256 {manifest.vocabulary['sha256'][:12]}"
    assert told["checksums"] == "not compared (--verify)"


def test_the_folder_is_one_line_as_it_was_given(small_data, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    folder = tmp_path / "a folder with [bold] brackets" / "and a name that is longer than the terminal is wide"
    shutil.copytree(small_data, folder)
    inspect(str(folder), count=0)
    assert capsys.readouterr().out.splitlines()[0] == f"data set {folder}"


def test_rejected_documents_are_counted_by_reason(damaged, capsys):
    content = storage.read_json(str(damaged / "manifest.json"))
    symbols = {"documents": 5, "paragraphs": 0, "characters": 4321, "pieces": 0}
    changes = {"dead_letter_reasons": {"empty": 1234}, "removed": {"symbols": symbols}, "dropped": {"short": 77}}
    storage.publish_json(str(damaged / "manifest.json"), content | changes)
    inspect(str(damaged), count=0)
    out = capsys.readouterr().out
    assert re.search(r"dead: empty +1,234 *\n", out)
    assert re.search(r"removed: symbols +(5 documents, 4,321 characters|4,321 characters, 5 documents) *\n", out)
    assert re.search(r"dropped: short +77 *\n", out)
    assert re.search(r"pieces in a pass +[\d,]+ IS NOT [\d,]+ in records \+ 77 dropped *\n", out)


def test_sources_are_told_with_their_shares(damaged, capsys):
    inspect(str(damaged), count=0)
    (source,) = Manifest.read(str(damaged)).by_source
    told = f"source text  +weight 1, {source['documents']:,} documents, {source['pieces']:,} pieces, 0.000 % unknown"
    assert re.search(told.replace("0.000", r"[\d.]+"), capsys.readouterr().out)


def test_the_drawn_text_is_that_of_the_record_s_pieces(small_data, tokenizer, capsys):
    inspect(small_data, count=8)
    drawings = drawn_lines(capsys.readouterr().out)
    rows = first_records(small_data, 8)
    assert len(drawings) == 8
    for (line, _), record in zip(drawings, rows, strict=True):
        stretches = [
            part.replace("␣", " ").split() for part in re.split(r"<sep>|<cls>|¶|◼", SUBSCRIPT.sub("", line).strip())
        ]
        ids = record["input"].tolist()
        ends = [at for at, piece in enumerate(ids) if piece in (SEP, CLS, EOP, EOD)]
        starts = [0, *(end + 1 for end in ends)]
        wanted = [tokenizer.decode(ids[start:end]).split() for start, end in zip(starts, [*ends, None], strict=True)]
        assert stretches == wanted


def test_the_numbers_are_the_order_in_which_each_half_is_predicted(small_data, capsys):
    inspect(small_data, count=8)
    for (line, _), record in zip(drawn_lines(capsys.readouterr().out), first_records(small_data, 8), strict=True):
        numbers = [int(found.translate(DIGITS)) for found in SUBSCRIPT.findall(line)]
        target = np.flatnonzero(record["is_masked"])
        wanted = []
        for half in (target[target < 16], target[target >= 16]):
            in_turn = sorted(half, key=lambda position, order=record["order"]: order[position])
            wanted += [in_turn.index(position) + 1 for position in half]
        assert numbers == wanted
        assert len(numbers) == 6


def test_a_target_sees_the_text_before_it_in_the_order_and_never_itself(small_data, tokenizer, capsys):
    (record,) = first_records(small_data, 1)
    texts, spaced = surfaces(record, tokenizer)
    is_target = record["is_masked"].astype(bool)
    for chosen in np.flatnonzero(is_target):
        inspect(small_data, position=int(chosen))
        out = capsys.readouterr().out
        sight = cut(drawn_lines(out)[0][1], texts, spaced)
        assert sight[chosen] == "?" * len(texts[chosen])
        seen = np.array([shown == text for shown, text in zip(sight, texts, strict=True)])
        assert all(seen | [set(shown) <= {"·", "?"} for shown in sight])
        assert f"what {texts[chosen]!r} at position {chosen} sees, predicted as number " in out
        assert "its query stream does not see itself, its content stream does" in out
        assert f": {seen.sum()} pieces\n" in out
        own_half = (np.arange(32) >= 16) == (chosen >= 16)
        earlier = record["order"] < record["order"][chosen]
        text = ~np.isin(record["input"], (SEP, CLS))
        expected = np.where(own_half, ~is_target | earlier, chosen >= 16)  # the reused half never looks ahead
        np.testing.assert_array_equal(seen[text], expected[text])


@pytest.mark.parametrize("position", range(32))
def test_what_is_never_predicted_sees_itself_and_the_text_but_no_later_target(small_data, tokenizer, capsys, position):
    (record,) = first_records(small_data, 1)
    is_target = record["is_masked"].astype(bool)
    if is_target[position]:
        return
    texts, spaced = surfaces(record, tokenizer)
    inspect(small_data, position=position)
    out = capsys.readouterr().out
    sight = cut(drawn_lines(out)[0][1], texts, spaced)
    seen = np.array([set(shown) != {"·"} for shown in sight])
    assert seen[position]
    assert sight[position] == texts[position]
    assert "itself among them: it is never predicted, and has a content stream only" in out
    functional = np.isin(record["input"], (SEP, CLS))
    assert f"sees, {'functional' if functional[position] else 'context'}: {seen.sum()} pieces\n" in out
    own_half = (np.arange(32) >= 16) == (position >= 16)
    ordered = is_target | functional
    earlier = (record["order"] <= record["order"][position]) if functional[position] else np.zeros(32, bool)
    np.testing.assert_array_equal(seen, np.where(own_half, ~ordered | earlier, position >= 16))


@pytest.mark.parametrize("position", [32, 1000, -1])
def test_a_position_outside_the_record_is_refused_with_those_of_its_targets(small_data, position):
    (record,) = first_records(small_data, 1)
    targets = ", ".join(map(str, np.flatnonzero(record["is_masked"])))
    found = f"^the record has no position {position}: they are 0 to 31, its targets at {targets}$"
    with pytest.raises(UserError, match=found):
        inspect(small_data, position=position)


def test_the_records_of_one_shard(small_data, capsys):
    shard = Manifest.read(small_data).shards[4]
    inspect(small_data, count=10**6, shard=4)
    out = capsys.readouterr().out
    assert len(drawn_lines(out)) == shard.records
    assert out.count(f"{shard.file}, record ") == shard.records
    for outside in (6, -1):
        with pytest.raises(UserError, match=f"there is no shard {outside}; the data set has the shards 0 to 5"):
            inspect(small_data, shard=outside)


def test_no_more_records_are_drawn_than_there_are(small_data, monkeypatch):
    shown = []  # to print them all would take a minute
    monkeypatch.setattr(inspection, "_print_record", lambda console, drawing, *, title: shown.append(title))
    inspect(small_data, count=10**6)
    assert len(shown) == len(set(shown)) == Manifest.read(small_data).counts["records"]


@pytest.mark.slow
def test_both_layouts_are_drawn(text, vocabulary, small_corpus, small_data, tmp_path, tokenizer, capsys):
    settings = dataclasses.replace(small_corpus, layout="reference", reference_rows=2)
    run([str(file) for file in text], str(tmp_path / "set"), vocabulary=vocabulary, settings=settings)
    inspect(str(tmp_path / "set"), count=2, position=3)
    out = capsys.readouterr().out
    assert re.search(r"layout +reference *\n", out)
    (record, _) = first_records(str(tmp_path / "set"), 2)
    texts, _ = surfaces(record, tokenizer)
    assert f"what {texts[3]!r} at position 3 sees" in out
    assert len(drawn_lines(out)) == 2


@pytest.mark.slow
def test_a_folder_of_the_original_s_is_drawn_and_has_no_checksums(text, vocabulary, small_corpus, tmp_path, capsys):
    settings = dataclasses.replace(small_corpus, layout="reference", reference_rows=2)
    run([str(file) for file in text], str(tmp_path / "set"), vocabulary=vocabulary, settings=settings)
    folder = tmp_path / "original"
    (folder / reference.FOLDER).mkdir(parents=True)
    shutil.copy(vocabulary, folder / "spiece.model")
    shard = Manifest.read(str(tmp_path / "set")).shards[0]
    shutil.copy(tmp_path / "set" / shard.file, folder / reference.file_name(0, 0, settings))
    name, content = reference.record_info(0, 0, settings, records=shard.records)
    storage.publish_json(str(folder / name), content)
    inspect(str(folder), count=2)
    out = capsys.readouterr().out
    assert re.search(r"layout +reference, written by the original *\n", out)
    assert re.search(rf"records +{shard.records:,} *\n", out)
    assert "documents" not in out
    assert len(drawn_lines(out)) == 2
    with pytest.raises(UserError, match="keeps no checksums"):
        inspect(str(folder), verify=True)
    with pytest.raises(UserError, match="counts nothing"):
        card.write(str(tmp_path / "card.html"), data=str(folder))


def test_a_record_without_an_order_is_drawn_with_one_that_training_may_draw(small_data, small_corpus, tokenizer):
    (record,) = first_records(small_data, 1)
    bare = {name: values for name, values in record.items() if name != "order"}
    drawing = draw(bare, tokenizer=tokenizer, settings=small_corpus)
    assert not drawing.has_order
    assert draw(record, tokenizer=tokenizer, settings=small_corpus).has_order
    assert draw(bare, tokenizer=tokenizer, settings=small_corpus) == drawing
    for half in (drawing.pieces[:16], drawing.pieces[16:]):
        places = sorted(piece.place for piece in half if piece.place)
        assert places == list(range(1, len(places) + 1))
    assert [piece.place is not None for piece in drawing.pieces] == record["is_masked"].astype(bool).tolist()


def test_whole_data_are_verified(small_data, capsys):
    inspect(small_data, count=0, verify=True)
    assert re.search(r"checksums +all as written *", capsys.readouterr().out)


@pytest.mark.parametrize("place", ["shard", "vocabulary"])
def test_damage_is_named_before_anything_is_shown(damaged, capsys, place):
    manifest = Manifest.read(str(damaged))
    name = manifest.shards[3].file if place == "shard" else manifest.vocabulary["file"]
    content = bytearray((damaged / name).read_bytes())
    content[len(content) // 2] ^= 1
    (damaged / name).write_bytes(content)
    with pytest.raises(
        UserError, match=rf"{re.escape(name)} has the SHA-256 \w+, the manifest says \w+; it was changed"
    ):
        inspect(str(damaged), verify=True)
    assert capsys.readouterr().out == ""


def test_a_shard_that_is_gone_is_named(damaged):
    name = Manifest.read(str(damaged)).shards[5].file
    (damaged / name).unlink()
    with pytest.raises(UserError, match=f"{re.escape(name)} does not exist"):
        inspect(str(damaged), verify=True)


def test_records_of_another_shape_than_the_manifest_s_are_named(damaged):
    content = storage.read_json(str(damaged / "manifest.json"))
    content["settings"] |= {"sequence_length": 64, "reuse_length": 32}
    storage.publish_json(str(damaged / "manifest.json"), content)
    with pytest.raises(UserError, match=r"record 0 is no training record .* wanted"):
        inspect(str(damaged))
