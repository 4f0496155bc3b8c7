"""`xlnet <verb>`: parses, calls, prints. What a verb does lives in the library; imports are lazy, so help is fast."""

import argparse
import os
import sys
from collections.abc import Callable
from typing import Any

from xlnet import __version__
from xlnet.errors import UserError
from xlnet.flags import Parser, add_settings, given


def main(arguments: list[str] | None = None) -> int:
    """The command. Returns 0, or 2 after one line on stderr about what the user can mend."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        code = _dispatch(words)
        sys.stdout.flush()  # here, where a reader that has gone is no error
        return code
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except MemoryError as error:
        print(f"error: not enough memory ({error}); ask for smaller sizes or batches", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left is flushed at the end
        return 0


def _dispatch(words: list[str]) -> int:
    parser = Parser(prog="xlnet", description="Pretrain, fine-tune, evaluate and export XLNet, reproducibly.")
    parser.add_argument("--version", action="version", version=f"xlnet {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", parser_class=Parser)
    chosen = words[0] if words else ""
    parsers = {}
    for name, (summary, flags, _) in VERBS.items():
        parsers[name] = verbs.add_parser(name, help=summary, description=summary)
        if name == chosen:
            flags(parsers[name])
    if not words:
        parser.print_help()
        return 0
    if chosen in VERBS:
        parsed = parsers[chosen].parse_strictly(words[1:])
        if chosen in TRAINS:
            from xlnet import frameworks

            frameworks.load()
        VERBS[chosen][2](parsed)
        return 0
    if not chosen.startswith("-"):
        from xlnet.settings import suggestion

        raise UserError(f"unknown verb {chosen!r}{suggestion(chosen, VERBS)}")
    parser.parse_args(words)
    return 0


def _settings(parsed: argparse.Namespace, section: str, kind: type) -> Any:
    """Settings from the preset's section and the flags."""
    from xlnet.settings import make, read_preset

    preset = read_preset(parsed.config)[section]
    return make(kind, preset, given(parsed, kind), where=parsed.config or "flags")


def _print_table(title: str, rows: dict[str, Any]) -> None:
    """The one-screen summary that every verb ends with."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, show_header=False, title_justify="left", box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in rows.items():
        if value is not None:
            table.add_row(name.replace("_", " "), _shown(value))
    Console(soft_wrap=False).print(table)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float) and 0 < abs(value) < 1e-3:
        return f"{value:.2g}"
    if isinstance(value, float):
        return f"{value:,.4f}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value)


def _config_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", help="a YAML preset, as in configs/; flags override it")


# --- verbs: what they take, and what they call -----------------------------------------------------------------------


def _train_vocab_flags(parser: argparse.ArgumentParser) -> None:
    from xlnet.vocab import VocabularySettings

    parser.add_argument("files", nargs="+", metavar="FILE", help="text: .txt .gz .zst .jsonl; globs in quotes")
    parser.add_argument(
        "--output", required=True, metavar="FILE", help="the vocabulary to write, for example spiece.model"
    )
    _config_flag(parser)
    add_settings(parser, VocabularySettings)


def _train_vocab(parsed: argparse.Namespace) -> None:
    from xlnet.vocab import VocabularySettings, train

    settings = _settings(parsed, "vocabulary", VocabularySettings)
    summary = train(parsed.files, parsed.output, settings=settings)
    _print_table(f"vocabulary {parsed.output}", {k: v for k, v in summary.items() if not isinstance(v, dict)})


def _preprocess_flags(parser: argparse.ArgumentParser) -> None:
    from xlnet.corpus.settings import CorpusSettings

    parser.add_argument("files", nargs="+", metavar="FILE", help="text: .txt .gz .zst .jsonl; globs in quotes")
    parser.add_argument("--vocabulary", required=True, metavar="FILE", help="a SentencePiece model")
    parser.add_argument("--output", required=True, metavar="DIR", help="the data set to write")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="local worker processes (default 1)")
    parser.add_argument(
        "--beam",
        action="append",
        default=[],
        metavar="OPTION",
        help="a Beam option, e.g. --beam=--runner=DataflowRunner",
    )
    _config_flag(parser)
    add_settings(parser, CorpusSettings)


def _preprocess(parsed: argparse.Namespace) -> None:
    from pipelines.journal import Shown
    from pipelines.preprocess import run
    from xlnet.corpus.settings import CorpusSettings

    settings = _settings(parsed, "corpus", CorpusSettings)
    manifest = run(
        parsed.files,
        parsed.output,
        vocabulary=parsed.vocabulary,
        settings=settings,
        options=parsed.beam,
        workers=parsed.workers,
        progress=Shown(),
    )
    _print_table(f"data set {parsed.output}", manifest.summary())


def _inspect_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", help="a data set, as `xlnet preprocess` writes it")
    parser.add_argument("--records", type=int, default=1, metavar="N", help="how many records to draw (default 1)")
    parser.add_argument(
        "--position", type=int, metavar="I", help="the target whose sight is drawn (default: a middle one)"
    )
    parser.add_argument("--verify", action="store_true", help="compare every shard with its checksum")


def _inspect(parsed: argparse.Namespace) -> None:
    from xlnet.inspection import inspect

    inspect(parsed.data, count=parsed.records, position=parsed.position, verify=parsed.verify)


def _pretrain_flags(parser: argparse.ArgumentParser) -> None:
    from xlnet.model.config import ModelConfig
    from xlnet.training.settings import PretrainingSettings

    parser.add_argument("--data", required=True, metavar="DIR", help="a data set, as `xlnet preprocess` writes it")
    parser.add_argument("--validation", metavar="DIR", help="a data set of held-out text")
    parser.add_argument("--output", required=True, metavar="DIR", help="the run; an unfinished one goes on")
    parser.add_argument("--init", metavar="PATH", help="a model directory or a TF1 checkpoint to begin from")
    _config_flag(parser)
    add_settings(parser, PretrainingSettings)
    add_settings(parser, ModelConfig, without=["vocab_size"])


def _pretrain(parsed: argparse.Namespace) -> None:
    from xlnet.model.config import ModelConfig
    from xlnet.training.pretraining import pretrain
    from xlnet.training.settings import PretrainingSettings

    summary = pretrain(
        data=parsed.data,
        output=parsed.output,
        settings=_settings(parsed, "pretraining", PretrainingSettings),
        model=_settings(parsed, "model", ModelConfig),
        validation=parsed.validation,
        init=parsed.init,
    )
    names = ["steps", "seconds", "parameters", "pieces_per_second", "loss", "validation_loss"]
    names += ["unigram_loss", "unigram_loss_own"]
    _print_table(f"pretrained {parsed.output}", {name: summary.get(name) for name in names})


def _finetune_flags(parser: argparse.ArgumentParser) -> None:
    from xlnet.model.config import ModelConfig
    from xlnet.training.finetuning_settings import FinetuningSettings

    parser.add_argument("--train", required=True, metavar="FILE", help="labelled examples: .tsv .csv .jsonl")
    parser.add_argument("--dev", metavar="FILE", help="labelled examples to choose the best epoch by")
    parser.add_argument("--output", required=True, metavar="DIR", help="the run to write")
    parser.add_argument(
        "--init", metavar="PATH", help="a model directory or a TF1 checkpoint; without it, from scratch"
    )
    parser.add_argument("--vocabulary", metavar="FILE", help="the SentencePiece model, where --init has none")
    parser.add_argument("--fresh", action="store_true", help="take all from --init but its weights, to compare with")
    _config_flag(parser)
    add_settings(parser, FinetuningSettings)
    add_settings(parser, ModelConfig, without=["vocab_size", *_shared(FinetuningSettings, ModelConfig)])


def _shared(one: type, other: type) -> set[str]:
    from xlnet.settings import field_kinds

    return set(field_kinds(one)) & set(field_kinds(other))


def _finetune(parsed: argparse.Namespace) -> None:
    from xlnet.model.config import ModelConfig
    from xlnet.training.finetuning import finetune
    from xlnet.training.finetuning_settings import FinetuningSettings

    summary = finetune(
        train=parsed.train,
        dev=parsed.dev,
        output=parsed.output,
        init=parsed.init,
        model_config=None if parsed.init else _settings(parsed, "model", ModelConfig),
        vocabulary=parsed.vocabulary,
        fresh=parsed.fresh,
        settings=_settings(parsed, "finetuning", FinetuningSettings),
    )
    _print_table(f"fine-tuned {parsed.output}", {k: v for k, v in summary.items() if isinstance(v, int | float | str)})


def _evaluate_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="DIR", help="a fine-tuned model directory")
    parser.add_argument("--data", required=True, metavar="FILE", help="labelled examples: .tsv .csv .jsonl")
    parser.add_argument("--output", required=True, metavar="DIR", help="the evaluation to write")
    parser.add_argument("--batch-size", type=int, default=32, metavar="N", help="texts at a time (default 32)")


def _evaluate(parsed: argparse.Namespace) -> None:
    from xlnet.training.evaluation import evaluate

    result = evaluate(model=parsed.model, data=parsed.data, output=parsed.output, batch_size=parsed.batch_size)
    baseline = {f"baseline {k}": v for k, v in result.get("majority", {}).items()}
    _print_table(f"evaluation {parsed.output}", {"examples": result["examples"], **result["metrics"], **baseline})


def _export_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="DIR", help="a model directory")
    parser.add_argument("--output", required=True, metavar="DIR", help="where version folders are written")


def _export(parsed: argparse.Namespace) -> None:
    from xlnet.serving.export import export

    card = export(model=parsed.model, output=parsed.output)
    _print_table(f"exported {parsed.output}", {k: v for k, v in card.items() if isinstance(v, int | float | str)})


def _report_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", required=True, metavar="DIR", help="the data set")
    parser.add_argument("--validation", metavar="DIR", help="the held-out data set")
    parser.add_argument("--pretraining", metavar="DIR", help="the pretraining run")
    parser.add_argument(
        "--task",
        action="append",
        default=[],
        metavar="NAME=FINETUNED,EVALUATION",
        help="a task's two folders; may repeat",
    )
    parser.add_argument("--exported", metavar="DIR", help="the export")
    parser.add_argument("--title", default="XLNet run", help="the page's title")
    parser.add_argument("--output", required=True, metavar="FILE", help="the HTML page to write")


def _report(parsed: argparse.Namespace) -> None:
    from xlnet.report import Task, write

    write(
        parsed.output,
        data=parsed.data,
        validation=parsed.validation,
        pretraining=parsed.pretraining,
        tasks=[Task.parse(text) for text in parsed.task],
        exported=parsed.exported,
        title=parsed.title,
    )
    print(f"report {parsed.output}")


def _pipeline_flags(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="compile|run", parser_class=Parser)
    compiling = actions.add_parser("compile", help="write the pipeline's IR YAML")
    compiling.add_argument("--output", required=True, metavar="FILE", help="for example retraining.yaml")
    compiling.add_argument("--image", metavar="IMAGE", help="the image of every step (default: the project's own)")
    running = actions.add_parser("run", help="run the whole chain here")
    running.add_argument("--corpus", required=True, nargs="+", metavar="FILE", help="text to pretrain on")
    running.add_argument("--heldout", required=True, nargs="+", metavar="FILE", help="text to measure pretraining on")
    running.add_argument("--task-train", required=True, metavar="FILE", help="labelled examples to fine-tune on")
    running.add_argument("--task-dev", required=True, metavar="FILE", help="labelled examples to evaluate on")
    running.add_argument("--config", required=True, metavar="FILE", help="a YAML preset, as in configs/")
    running.add_argument("--title", default="XLNet run", help="the report's title")
    running.add_argument("--output", required=True, metavar="DIR", help="the run's folder")


def _pipeline(parsed: argparse.Namespace) -> None:
    if parsed.action == "compile":
        if parsed.image:
            os.environ["XLNET_IMAGE"] = parsed.image  # components read it when they are imported
        from pipelines.retraining import compile_to

        compile_to(parsed.output)
        print(f"pipeline {parsed.output}")
        return
    from pipelines.local import run

    paths = run(
        parsed.output,
        corpus=parsed.corpus,
        heldout=parsed.heldout,
        task_train=parsed.task_train,
        task_dev=parsed.task_dev,
        config=parsed.config,
        title=parsed.title,
    )
    _print_table(f"pipeline run {parsed.output}", paths)


TRAINS = ("pretrain", "finetune", "evaluate", "export")
Flags = Callable[[argparse.ArgumentParser], None]
Call = Callable[[argparse.Namespace], None]
VERBS: dict[str, tuple[str, Flags, Call]] = {
    "train-vocab": ("train a SentencePiece vocabulary on text", _train_vocab_flags, _train_vocab),
    "preprocess": ("turn text into training records, with Apache Beam", _preprocess_flags, _preprocess),
    "inspect": ("show what a data set holds and draw its records as text", _inspect_flags, _inspect),
    "pretrain": ("pretrain a model on a data set", _pretrain_flags, _pretrain),
    "finetune": ("fine-tune a model on labelled texts or pairs", _finetune_flags, _finetune),
    "evaluate": ("measure a fine-tuned model on labelled examples", _evaluate_flags, _evaluate),
    "export": ("write a SavedModel for serving, checked against the model", _export_flags, _export),
    "report": ("write one HTML page about a run", _report_flags, _report),
    "pipeline": ("compile or run the whole chain as a Kubeflow pipeline", _pipeline_flags, _pipeline),
}


if __name__ == "__main__":
    sys.exit(main())
