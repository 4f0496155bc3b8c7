"""`xlnet <verb>`: parses, calls, prints. What a verb does lives in the library; imports are lazy, so help is fast."""

import contextlib
import errno
import io
import os
import re
import sys
from types import ModuleType

from xlnet import __version__
from xlnet.cli import (
    convert,
    embed,
    evaluate,
    export,
    finetune,
    generate,
    inspect,
    lineage,
    pipeline,
    predict,
    preprocess,
    pretrain,
    report,
    train_vocab,
)
from xlnet.errors import UserError
from xlnet.flags import Parser
from xlnet.training import stopping

EXHAUSTED = ("ResourceExhausted", "RESOURCE_EXHAUSTED")  # as TensorFlow and JAX call it
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EIO)  # other files of ours are written where these have a UserError
VERBS: dict[str, ModuleType] = {  # each with SUMMARY, flags(parser) and run(parsed)
    "train-vocab": train_vocab,
    "preprocess": preprocess,
    "inspect": inspect,
    "pretrain": pretrain,
    "finetune": finetune,
    "evaluate": evaluate,
    "convert": convert,
    "predict": predict,
    "embed": embed,
    "generate": generate,
    "export": export,
    "report": report,
    "lineage": lineage,
    "pipeline": pipeline,
}
TRAINS = ("pretrain", "finetune", "evaluate", "convert", "predict", "embed", "generate", "export")
GOES_ON = ("pretrain", "finetune")  # with the same command, when SIGTERM has stopped it


def main(arguments: list[str] | None = None) -> int:
    """The command. Returns 0, 2 after one line on stderr about what the user can mend, 75 when a run was stopped."""
    words = sys.argv[1:] if arguments is None else arguments
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: a locale that lacks a character ends no run
    try:
        code = _dispatch(words)
        if sys.stdout is not None:  # a shell may have closed it
            sys.stdout.flush()  # here, where a reader that has gone is no error
        return code
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except stopping.StoppedError as stopped:
        print(stopped, file=sys.stderr, flush=True)
        return stopping.EXIT_CODE
    except MemoryError as error:
        return _out_of_memory(str(error))
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        _drop_output()
        return 0
    except Exception as error:  # last, as some of those above are such
        if isinstance(error, OSError) and error.errno in UNWRITABLE and error.filename is None:
            print(f"error: cannot write to standard output: {os.strerror(error.errno).lower()}", file=sys.stderr)
            _drop_output()
            return 2
        if not any(name in f"{type(error).__name__} {error}" for name in EXHAUSTED):
            raise
        return _out_of_memory(_told(error))


def _drop_output() -> None:
    """What is left of it is flushed at the end, and must go somewhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _out_of_memory(why: str) -> int:
    print(f"error: not enough memory ({why}); ask for smaller sizes or batches", file=sys.stderr)
    return 2


def _told(error: Exception) -> str:
    """What a framework says of memory, in the line that says it, without the names of its own code."""
    lines = (str(error).strip() or type(error).__name__).splitlines()
    line = next((line for line in lines if re.search("OOM|[Oo]ut of memory", line)), lines[0])
    return re.sub(r"\{\{.*?\}\} ?| \[Op:.*", "", line.strip())


def _dispatch(words: list[str]) -> int:
    parser = Parser(prog="xlnet", description="Pretrain, fine-tune, evaluate and export XLNet, reproducibly.")
    parser.add_argument("--version", action="version", version=f"xlnet {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", parser_class=Parser)
    chosen = words[0] if words else ""
    parsers = {}
    for name, verb in VERBS.items():
        parsers[name] = verbs.add_parser(name, help=verb.SUMMARY, description=verb.SUMMARY)
        if name == chosen:
            verb.flags(parsers[name])
    if not words:
        parser.print_help()
        return 0
    if chosen in VERBS:
        parsed = parsers[chosen].parse_strictly(words[1:])
        with stopping.before_training() if chosen in GOES_ON else contextlib.nullcontext():
            if chosen in TRAINS:
                from xlnet import frameworks

                frameworks.load()
            VERBS[chosen].run(parsed)
        return 0
    if not chosen.startswith("-"):
        from xlnet.settings import suggestion

        raise UserError(f"unknown verb {chosen!r}{suggestion(chosen, VERBS)}")
    parser.parse_args(words)
    return 0
