"""`xlnet generate`: text from a pretrained model."""

import argparse
import sys
import time

from xlnet.errors import UserError
from xlnet.flags import add_settings

SUMMARY = "write text with a pretrained model"


def flags(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    from xlnet.serving.decoding import DecodingSettings

    parser.add_argument("--model", required=True, metavar="DIR", help="a pretrained model directory")
    prompts = parser.add_mutually_exclusive_group()
    prompts.add_argument("--prompt", metavar="TEXT", help="what the text begins with (default: a new text)")
    prompts.add_argument("--prompt-file", metavar="FILE", help="a file that holds the prompt; - for standard input")
    add_settings(parser, DecodingSettings)


def run(parsed: argparse.Namespace) -> None:
    """What the verb does."""
    from xlnet.flags import given
    from xlnet.progress import Progress
    from xlnet.serving.decoding import DecodingSettings
    from xlnet.settings import make

    settings = make(DecodingSettings, given(parsed, DecodingSettings), where="flags")
    prompt = _prompt(parsed)
    from xlnet.serving.generation import Generator

    generator = Generator(parsed.model, settings)
    shown = Progress(settings.length, unit="pieces", name="writing")
    started = time.monotonic()
    texts = generator.generate(prompt, report=shown.update)
    seconds = time.monotonic() - started
    for number, text in enumerate(texts, start=1):
        if len(texts) > 1:
            print(f"{'' if number == 1 else chr(10)}--- {number}")
        print(prompt.rstrip("\n") + text.text if prompt.strip() else text.text.lstrip(), flush=True)
    count = sum(len(text.pieces) for text in texts)
    print(f"{count:,} pieces in {seconds:.1f} s, compilation included", file=sys.stderr, flush=True)


def _prompt(parsed: argparse.Namespace) -> str:
    from xlnet import storage

    if parsed.prompt_file is None:
        prompt: str = parsed.prompt or ""
        try:
            prompt.encode()
        except UnicodeEncodeError:
            raise UserError("the prompt is not UTF-8; convert it first") from None
        return prompt
    content = storage.standard_input().read() if parsed.prompt_file == "-" else storage.read_bytes(parsed.prompt_file)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(f"{parsed.prompt_file}:{line} is not UTF-8 ({error.reason}); convert it first") from None
