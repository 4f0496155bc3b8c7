"""What a data set holds, for a terminal: its summary, and records drawn as coloured text."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from xlnet import storage
from xlnet.corpus import records
from xlnet.corpus.manifest import Manifest
from xlnet.drawing import Drawing, Piece, draw
from xlnet.errors import UserError
from xlnet.text import Tokenizer

STYLES = {"reuse": "white", "A": "cyan", "B": "magenta"}
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
LEGEND = "white: reuse   cyan: A   magenta: B   yellow: <sep> <cls>   underlined₃: target, third in its half's order"


def inspect(data: str, *, count: int = 1, position: int | None = None, verify: bool = False) -> None:
    """Print a data set's summary and its first `count` records, and what one target may see.

    `position` chooses the target (default: the middle one of the second half). With `verify` every shard is
    compared with its checksum first. Raises UserError for a data set that is half-written or damaged.
    """
    if count < 0:
        raise UserError(f"{count} records cannot be drawn; give 0 or more")
    manifest = Manifest.read(data)
    if verify:
        manifest.verify()
    console = Console(highlight=False)
    console.print(Text(f"data set {manifest.directory}", style="italic"), soft_wrap=True)  # a path to copy
    console.print(_summary(manifest, verified=verify))
    tokenizer = Tokenizer(storage.read_bytes(storage.join(data, manifest.vocabulary["file"])))
    shown = 0
    for shard in manifest.shards:
        path = storage.join(data, shard.file)
        for number, record in enumerate(records.read_features(path)):
            if shown == count:
                return
            try:
                drawing = draw(record, tokenizer=tokenizer, settings=manifest.settings, position=position)
            except (KeyError, IndexError, ValueError) as error:
                raise UserError(f"{path}: record {number} is not one of this data set: {error}") from None
            _print_record(console, drawing, title=f"{shard.file}, record {number}")
            shown += 1


def _summary(manifest: Manifest, *, verified: bool) -> Table:
    table = Table(show_header=False, box=None)
    table.add_column(style="dim")
    table.add_column()
    settings, counts = manifest.settings, manifest.counts
    table.add_row("windows", f"{settings.sequence_length} pieces, {settings.reuse_length} of them reused")
    table.add_row(
        "targets", f"{settings.predictions} a record, spans of 1 to {settings.span_longest} {settings.span_unit}s"
    )
    table.add_row("direction", "forward and backward" if settings.bidirectional else "forward")
    table.add_row("vocabulary", f"{manifest.vocabulary['size']:,} pieces, SHA-256 {manifest.vocabulary['sha256'][:12]}")
    for name, value in counts.items():
        table.add_row(name.replace("_", " "), f"{value:,}")
    for reason, number in manifest.dead_letter_reasons.items():
        table.add_row(f"dead: {reason}", f"{number:,}")
    size = sum(shard.bytes for shard in manifest.shards)
    per_piece = f", {size / counts['pieces']:.1f} bytes a piece" if counts["pieces"] else ""
    table.add_row("shards", f"{len(manifest.shards):,}, {size:,} bytes{per_piece}")
    table.add_row("checksums", "all as written" if verified else "not compared (--verify)")
    return table


def _print_record(console: Console, drawing: Drawing, *, title: str) -> None:
    console.print()
    console.print(Text(title, style="bold"))
    console.print(Text(LEGEND, style="dim"))
    console.print(Text("B follows A" if drawing.b_follows_a else "B is from elsewhere", style="dim"))
    console.print(_line(drawing.pieces, sight=False))
    chosen = drawing.chosen
    console.print()
    note = f"what {chosen.text!r} sees, predicted as number {chosen.place} of {drawing.of}: {drawing.sees} pieces"
    console.print(Text(note, style="bold"))
    console.print(_line(drawing.pieces, sight=True))


def _line(pieces: list[Piece], *, sight: bool) -> Text:
    line = Text()
    for piece in pieces:
        if piece.begins_word and len(line):
            line.append(" ")
        style = "yellow" if piece.functional else STYLES[piece.segment]
        text = piece.text
        if sight and piece.chosen:
            style, text = "bold reverse", "?" * len(text)
        elif sight and not piece.seen:
            style, text = "dim", "·" * len(text)
        elif piece.place is not None and not sight:
            style, text = f"{style} bold underline", text + str(piece.place).translate(SUBSCRIPTS)
        line.append(text, style=style)
    return line
