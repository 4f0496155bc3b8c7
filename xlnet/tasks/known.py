"""Published data sets, read from their own files: which columns, which classes, and what they are measured by.

Sources: Wang et al. 2019 (GLUE), Bowman et al. 2015 (SNLI), Maas et al. 2011 (IMDB), Zhang et al. 2015 (the others);
reference: run_classifier.py.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xlnet import storage
from xlnet.errors import UserError
from xlnet.tasks import folders, tables
from xlnet.tasks.sentence import Columns, Examples, laid_out

BROKEN = 0.01  # of the rows, at most; more of another width, and the file is another one


def from_page(text: str) -> str:
    """A review of IMDB without the breaks of its page."""
    return text.strip().replace("<br />", " ")


def unescaped(text: str) -> str:
    r"""A text of Yelp's and Amazon's files: \" and a doubled quote are quotes, \n ends a line."""
    return text.replace('""', '"').replace('\\"', '"').replace("\\n", " ")


@dataclass(frozen=True)
class DataSet:
    """One data set. Its files are tables with these columns, or a folder of texts for each class."""

    columns: Columns | None  # None: folders
    metrics: tuple[str, ...]  # the official ones; the first chooses the best epoch
    classes: tuple[str, ...] | None  # None: regression
    positive: str | None = None  # the class whose F1 is official
    ending: str = ".tsv"  # the format, whatever a file is called
    may_be_empty: bool = False  # a text: some rows of the published files are
    unlabelled: str | None = None  # what stands in the label's column where there is none
    clean: Callable[[str], str] = str

    @property
    def task(self) -> str:
        """Classification or regression."""
        return "regression" if self.classes is None else "classification"


def _pair(text: str, pair: str, label: str = "label", *, classes: str, **more: Any) -> DataSet:
    """Two texts of a table with a header."""
    given: dict[str, Any] = {
        "columns": Columns(text, pair, label),
        "metrics": ("accuracy",),
        "classes": tuple(classes.split()),
    }
    return DataSet(**(given | more))


def _reviews(classes: int, text: str = "1") -> DataSet:
    """Zhang's files: CSV without a header, the number of the class first."""
    numbers = tuple(str(number) for number in range(1, classes + 1))
    columns = Columns(text, None, "0", header=False)
    return DataSet(columns, ("accuracy",), numbers, ending=".csv", clean=unescaped)


INFERENCE = "contradiction entailment neutral"
PARAPHRASES: dict[str, Any] = {"classes": "0 1", "metrics": ("accuracy", "f1"), "positive": "1"}
DATA_SETS: dict[str, DataSet] = {
    "cola": DataSet(Columns("3", None, "1", header=False), ("matthews",), ("0", "1")),
    "sst-2": DataSet(Columns("sentence"), ("accuracy",), ("0", "1")),
    "mrpc": _pair("#1 String", "#2 String", "Quality", **PARAPHRASES),
    "sts-b": DataSet(Columns("sentence1", "sentence2", "score"), ("pearson", "spearman"), None),
    "qqp": _pair("question1", "question2", "is_duplicate", **PARAPHRASES, may_be_empty=True),
    "mnli": _pair("sentence1", "sentence2", "gold_label", classes=INFERENCE),
    "qnli": _pair("question", "sentence", classes="entailment not_entailment"),
    "rte": _pair("sentence1", "sentence2", classes="entailment not_entailment"),
    "wnli": _pair("sentence1", "sentence2", classes="0 1"),
    "snli": _pair("sentence1", "sentence2", "gold_label", classes=INFERENCE, unlabelled="-"),
    "imdb": DataSet(None, ("accuracy",), ("neg", "pos"), clean=from_page),
    "yelp-2": _reviews(2),
    "yelp-5": _reviews(5),
    "amazon-2": _reviews(2, text="1+2"),
    "amazon-5": _reviews(5, text="1+2"),
    "dbpedia": _reviews(14, text="1+2"),
    "ag-news": _reviews(4, text="1+2"),
}


def read(path: str, data_set: str) -> Examples:
    """The examples of a file of a data set, or of a folder of IMDB's.

    Rows that the file itself marks as unlabelled, or that are broken, are left out and counted in `left_out`: GLUE's
    own files hold some. Raises UserError, with file and line, for anything else that is wrong.
    """
    known = DATA_SETS[data_set]
    if known.columns is None:
        return _from_folders(path, known)
    if folders.is_folder(path):
        raise UserError(f"{path} is a folder; {data_set} is read from one file, for example {path}/train{known.ending}")
    broken: list[int] = []
    rows = tables.select(path, known.columns.names(), header=known.columns.header, ending=known.ending, broken=broken)
    if len(broken) > BROKEN * len(rows):
        raise UserError(
            f"{path}:{broken[0]}: the row has another number of columns than the first, as {len(broken)} of "
            f"{len(rows) + len(broken)} have; give {data_set} as it was published, or name the columns with "
            f"--task {known.task}"
        )
    labelled = [(line, cells) for line, cells in rows if cells[-1].strip() != known.unlabelled]
    if not labelled:
        raise UserError(f"{path}: all of the {len(rows)} examples are marked as unlabelled; give the file with labels")
    found = laid_out(path, labelled, columns=known.columns, clean=known.clean, may_be_empty=known.may_be_empty)
    counts = {"broken": len(broken), "unlabelled": len(rows) - len(labelled)}
    return dataclasses.replace(found, left_out={name: count for name, count in counts.items() if count})


def reading(data_set: str | None) -> dict[str, Any]:
    """How the texts of a data set, if there is one, are read: what `sentence.laid_out` is to be told."""
    known = None if data_set is None else DATA_SETS[data_set]
    return {} if known is None else {"clean": known.clean, "may_be_empty": known.may_be_empty}


def _from_folders(path: str, known: DataSet) -> Examples:
    """A class a folder, a text a file; other folders, such as IMDB's reviews without a rating, are not read."""
    lines: list[str] = []
    texts: list[str] = []
    labels: list[str] = []
    for label in known.classes or ():
        folder = storage.join(path, label)
        if not folders.is_folder(folder):
            raise UserError(f"{path} has no folder {label!r}; wanted are {' and '.join(known.classes or ())}, of .txt")
        for name in folders.names(folder):
            text = known.clean(_text(storage.join(folder, name)))
            if not text.strip():
                raise UserError(f"{folder}/{name}: the text is empty; fill it or remove the file")
            lines.append(f"{label}/{name}")
            texts.append(text)
            labels.append(label)
    return Examples(path=path, lines=lines, texts=texts, pairs=None, labels=labels)


def _text(path: str) -> str:
    content = storage.read_bytes(path)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = f"byte 0x{content[error.start]:02x}"
        raise UserError(f"{path}: invalid UTF-8 ({byte}); save the file as UTF-8") from None
