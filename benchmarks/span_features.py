"""Features of span answers against Hugging Face's fast XLNet tokenizer with offsets and stride, one core each.

Both cut the same questions into windows of the same length that advance by about the same number of pieces, and tell
where each piece lies in its context. Ours also finds the pieces of each answer, which the peer leaves to Python code
that is not counted here.

python -m benchmarks.span_features --data squad2/train-v2.0.json --peer-python .venv-bench/bin/python
    [--vocabulary spiece.model | --size 8000]
"""

import argparse
import json
import tempfile
from pathlib import Path

from sentencepiece import SentencePieceProcessor

from benchmarks.turns import Side, best, conditions, measured
from xlnet import vocab
from xlnet.tasks.span_questions import Questions, read
from xlnet.text import Tokenizer

OURS, PEER = "ours", "Hugging Face"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", required=True, help="a JSON file of SQuAD's layout")
    parser.add_argument("--peer-python", required=True, help="an interpreter that has transformers")
    parser.add_argument("--vocabulary", help="a SentencePiece model; without it one is trained on the contexts")
    parser.add_argument("--size", type=int, default=8000, help="pieces of the vocabulary to train")
    parser.add_argument("--sequence-length", type=int, default=384)
    parser.add_argument("--stride", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        questions = read(options.data)
        model = options.vocabulary or trained(questions, folder, options.size)
        asked = Tokenizer(model).encode_lines(questions.texts)[1].mean()
        given = {
            "data": options.data,
            "model": model,
            "peer_vocabulary": peer_vocabulary(model, folder),
            "sequence_length": options.sequence_length,
            "stride": options.stride,
            "overlap": round(options.sequence_length - 3 - asked) - options.stride,  # the peer's word for stride
        }
        print(f"{len(questions):,} questions of {len(questions.contexts):,} contexts, {Tokenizer(model).size:,} pieces")
        compare(given, peer_python=options.peer_python, rounds=options.rounds)
    print(conditions(1))


def compare(given: dict[str, object], *, peer_python: str, rounds: int) -> None:
    """Prints the seconds of both sides and how many windows each made."""
    sides = {
        OURS: Side("benchmarks.span_features_ours", options=given, threads=1),
        PEER: Side("benchmarks.span_features_hugging_face", python=peer_python, options=given, threads=1),
    }
    seconds = measured(sides, "features", rounds=rounds)
    for name, side in sides.items():
        print(f"{name:14} {best(seconds[name])}; {side.run('windows')[1]:,.0f} windows")
        side.close()
    print(f"ours is {min(seconds[PEER]) / min(seconds[OURS]):.2f} times as fast (best of both)")


def trained(questions: Questions, folder: str, size: int) -> str:
    """A vocabulary of the contexts."""
    text, path = Path(folder) / "contexts.txt", str(Path(folder) / "spiece.model")
    text.write_text("\n\n".join(questions.contexts), encoding="utf-8")
    vocab.train([str(text)], path, settings=vocab.VocabularySettings(size=size))
    return path


def peer_vocabulary(model: str, folder: str) -> str:
    """What the peer's tokenizer is made of: pieces with their scores. Without SentencePiece's table it does less."""
    processor = SentencePieceProcessor(model_file=model)
    path = Path(folder) / "peer.json"
    pieces = [[processor.IdToPiece(index), processor.GetScore(index)] for index in range(processor.GetPieceSize())]
    path.write_text(json.dumps(pieces), encoding="utf-8")
    return str(path)


if __name__ == "__main__":
    main()
