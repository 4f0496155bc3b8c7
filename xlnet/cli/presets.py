"""Flags that several verbs take, and settings from a preset and from flags."""

import argparse
from typing import Any

from xlnet.flags import given, whole

FILES = "text: .txt .jsonl (also .gz .zst) .parquet; globs in quotes; NAME=GLOB:WEIGHT names and weighs a source"


def job_flags(parser: argparse.ArgumentParser) -> None:
    """What a verb takes that reads text with a Beam job."""
    parser.add_argument("files", nargs="+", metavar="FILE", help=FILES)
    parser.add_argument("--workers", type=whole, default=1, metavar="N", help="local worker processes (default 1)")
    beam_flag(parser)


def beam_flag(flags: argparse._ActionsContainer) -> None:
    """The flag that hands options to Beam; `flags` is a parser or a group of one."""
    flags.add_argument(
        "--beam",
        action="append",
        default=[],
        metavar="OPTION",
        help="a Beam option, e.g. --beam=--runner=DataflowRunner",
    )


def config_flag(parser: argparse.ArgumentParser) -> None:
    """The flag that names a preset."""
    parser.add_argument("--config", metavar="FILE", help="a YAML preset, as in configs/; flags override it")


def settings_of(parsed: argparse.Namespace, section: str, kind: type) -> Any:
    """Settings from the preset's section and the flags."""
    from xlnet.settings import make, read_preset

    preset = read_preset(parsed.config)[section]  # checked also where a flag overrides it
    return make(kind, preset, given(parsed, kind), where=parsed.config or "flags")


def said(parsed: argparse.Namespace, section: str, kind: type) -> dict[str, Any]:
    """The settings that the preset's section or the flags, which override it, name."""
    from xlnet.settings import read_preset

    return read_preset(parsed.config)[section] | given(parsed, kind)
