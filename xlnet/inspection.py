"""What a data set holds, for a terminal: its summary, and records drawn as coloured text."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from xlnet import balance, storage
from xlnet.corpus import layouts, reference
from xlnet.corpus.manifest import COUNTS, REPAIRED, Manifest
from xlnet.corpus.reference import Original
from xlnet.drawing import Drawing, Piece, draw
from xlnet.errors import UserError
from xlnet.text import Tokenizer

STYLES = {"reuse": "white", "A": "cyan", "B": "magenta"}
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
LEGEND = "white: reuse   cyan: A   magenta: B   yellow: <sep> <cls>   underlined₃: target, third in its half's order"
SIGHT = {  # of the streams of the model, by what the chosen position is
    "target": "its query stream does not see itself, its content stream does",
    "functional": "itself among them: it is never predicted, and has a content stream only",
    "context": "itself among them: it is never predicted, and has a content stream only",
}


def inspect(
    data: str, *, count: int = 1, position: int | None = None, shard: int | None = None, verify: bool = False
) -> None:
    """Print a data set's summary and its first `count` records, or those of one shard, and what one position may see.

    `position` chooses it (default: the middle target of the second half), `shard` is the place of a file in the
    manifest, from 0. With `verify` every shard is compared with its checksum first. `data` may be a folder that the
    original wrote. Raises UserError for a data set that is half-written or damaged.
    """
    if count < 0:
        raise UserError(f"{count} records cannot be drawn; give 0 or more")
    manifest = reference.open_data(data)
    if shard is not None and not 0 <= shard < len(manifest.shards):
        raise UserError(f"there is no shard {shard}; the data set has the shards 0 to {len(manifest.shards) - 1}")
    if verify and isinstance(manifest, Original):
        raise UserError(f"{data} was written by the original, which keeps no checksums; leave out --verify")
    if verify:
        manifest.verify()
    console = Console(highlight=False)
    console.print(Text(f"data set {manifest.directory}", style="italic"), soft_wrap=True)  # a path to copy
    console.print(_summary(manifest, verified=verify))
    for _, (title, drawing) in zip(range(count), _drawings(manifest, position=position, shard=shard), strict=False):
        _print_record(console, drawing, title=title)


def _drawings(manifest: Manifest, *, position: int | None, shard: int | None) -> Iterator[tuple[str, Drawing]]:
    """The records, each with its name."""
    tokenizer = Tokenizer(storage.join(manifest.directory, manifest.vocabulary["file"]))
    for chosen in manifest.shards if shard is None else manifest.shards[shard : shard + 1]:
        path = storage.join(manifest.directory, chosen.file)
        for number, record in enumerate(layouts.read(path, manifest.settings)):
            try:
                drawing = draw(record, tokenizer=tokenizer, settings=manifest.settings, position=position)
            except (KeyError, IndexError, ValueError) as error:
                raise UserError(f"{path}: record {number} is not one of this data set: {error}") from None
            yield f"{chosen.file}, record {number}", drawing


def _summary(manifest: Manifest, *, verified: bool) -> Table:
    table = Table(show_header=False, box=None)
    table.add_column(style="dim")
    table.add_column()
    is_original = isinstance(manifest, Original)
    rows = [*_format(manifest), *([] if is_original else _text(manifest)), *_files(manifest)]
    for name, value in rows:
        table.add_row(Text(name), Text(value))
    table.add_row("checksums", "none" if is_original else "all as written" if verified else "not compared (--verify)")
    return table


def _format(manifest: Manifest) -> Iterator[tuple[str, str]]:
    settings = manifest.settings
    yield "windows", f"{settings.sequence_length} pieces, {settings.reuse_length} of them reused"
    yield "targets", f"{settings.predictions} a record, spans of 1 to {settings.span_longest} {settings.span_unit}s"
    yield "direction", "forward and backward" if settings.bidirectional else "forward"
    yield "layout", settings.layout + (", written by the original" if isinstance(manifest, Original) else "")
    yield "vocabulary", f"{manifest.vocabulary['size']:,} pieces, SHA-256 {manifest.vocabulary['sha256'][:12]}"


def _text(manifest: Manifest) -> Iterator[tuple[str, str]]:
    counts = manifest.counts
    for source, counted in zip(manifest.sources, manifest.by_source, strict=True):
        figures = f"{counted['documents']:,} documents, {counted['pieces']:,} pieces, {_unknown(counted)} unknown"
        yield f"source {source['name']}", f"weight {source['weight']:g}, {figures}"
    for name in COUNTS:
        yield name.replace("_", " "), f"{counts[name]:,}"
    for reason, number in manifest.dead_letter_reasons.items():
        yield f"dead: {reason}", f"{number:,}"
    for reason, removed in manifest.removed.items():
        kept = "" if reason != REPAIRED else " (mended and kept)"
        yield f"removed: {reason}", ", ".join(f"{n:,} {what}" for what, n in removed.items() if n) + kept
    for reason, number in manifest.dropped.items():
        yield f"dropped: {reason}", f"{number:,}"
    for account in balance.accounts(manifest):
        yield account.name, _balanced(account)


def _files(manifest: Manifest) -> Iterator[tuple[str, str]]:
    settings = manifest.settings
    size, new = sum(shard.bytes for shard in manifest.shards), sum(s.pieces - s.pieces_dropped for s in manifest.shards)
    per_piece = f", {size / new:.1f} bytes a piece" if new else ""
    if isinstance(manifest, Original):
        yield "records", f"{manifest.counts['records']:,}"
    passes = f" in {settings.passes} passes" if settings.passes > 1 else ""
    yield "shards", f"{len(manifest.shards):,}{passes}, {size:,} bytes{per_piece}"


def _unknown(counted: dict[str, int]) -> str:
    return f"{100 * counted['unknown_pieces'] / max(1, counted['pieces']):.3f} %"


def _balanced(account: balance.Account) -> str:
    parts = " + ".join(f"{entry.count:,} {entry.name.partition(':')[0]}" for entry in account.entries if entry.count)
    return f"{account.total:,} {'=' if account.holds else 'IS NOT'} {parts or 0}"


def _print_record(console: Console, drawing: Drawing, *, title: str) -> None:
    console.print()
    console.print(Text(title, style="bold"))
    console.print(Text(LEGEND, style="dim"))
    follows = "B follows A" if drawing.b_follows_a else "B is from elsewhere"
    without = "" if drawing.has_order else "; the record holds no order, this is one that training may draw"
    console.print(Text(follows + without, style="dim"))
    console.print(_line(drawing.pieces, sight=False))
    console.print()
    console.print(Text(_note(drawing), style="bold"))
    console.print(Text(f"({SIGHT[drawing.kind]}; all of the memory is seen as well)", style="dim"))
    console.print(_line(drawing.pieces, sight=True))


def _note(drawing: Drawing) -> str:
    chosen = drawing.chosen
    place = f"predicted as number {chosen.place} of {drawing.of}" if chosen.place else drawing.kind
    return f"what {chosen.text!r} at position {drawing.position} sees, {place}: {drawing.sees} pieces"


def _line(pieces: list[Piece], *, sight: bool) -> Text:
    line = Text()
    for piece in pieces:
        if piece.begins_word and len(line):
            line.append(" ")
        style = "yellow" if piece.functional else STYLES[piece.segment]
        text = piece.text
        if sight and piece.chosen:
            style, text = "bold reverse", text if piece.seen else "?" * len(text)
        elif sight and not piece.seen:
            style, text = "dim", "·" * len(text)
        elif piece.place is not None and not sight:
            style, text = f"{style} bold underline", text + str(piece.place).translate(SUBSCRIPTS)
        line.append(text, style=style)
    return line
