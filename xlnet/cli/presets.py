"""Settings from a preset and from flags."""

import argparse
from typing import Any

from xlnet.flags import given


def config_flag(parser: argparse.ArgumentParser) -> None:
    """The flag that names a preset."""
    parser.add_argument("--config", metavar="FILE", help="a YAML preset, as in configs/; flags override it")


def settings_of(parsed: argparse.Namespace, section: str, kind: type) -> Any:
    """Settings from the preset's section and the flags."""
    from xlnet.settings import make, read_preset

    preset = read_preset(parsed.config)[section]
    return make(kind, preset, given(parsed, kind), where=parsed.config or "flags")
