"""The English text inside a Python installation: the language reference and the library's docstrings.

Files are parsed, never imported. A unit is one topic of the reference or one module of the library.
"""

import ast
import inspect
import re
import sysconfig
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from demo.prose import Paragraph, paragraphs

CLASSES: dict[str, str] = {
    "text": (
        "codecs configparser csv difflib encodings gettext html json locale plistlib pprint re reprlib "
        "shlex sre_compile sre_constants sre_parse string stringprep textwrap tomllib xml xmlrpc"
    ),
    "data types": (
        "_collections_abc _pydecimal _pylong _strptime _weakrefset abc bisect calendar collections colorsys "
        "copy copyreg dataclasses datetime decimal enum fractions functools graphlib heapq numbers operator "
        "random statistics string struct types typing uuid weakref zoneinfo"
    ),
    "files & system": (
        "_compression _pyio argparse bz2 cmd crypt ctypes curses dbm filecmp fileinput fnmatch genericpath "
        "getopt getpass glob gzip hashlib hmac io linecache logging lzma ntpath nturl2path optparse os "
        "pathlib pickle pickletools pipes platform posixpath pty secrets shelve shutil sqlite3 stat tarfile "
        "tempfile tty zipfile"
    ),
    "internet": (
        "asynchat asyncore base64 cgi cgitb email ftplib http imaplib ipaddress mailbox mailcap mimetypes "
        "netrc nntplib poplib quopri smtpd smtplib socket socketserver ssl telnetlib urllib uu webbrowser "
        "wsgiref xdrlib"
    ),
    "concurrency": (
        "_threading_local asyncio concurrent contextvars multiprocessing queue sched selectors signal "
        "subprocess threading"
    ),
    "development": (
        "__future__ ast bdb cProfile code codeop compileall contextlib dis distutils doctest ensurepip imp "
        "importlib inspect keyword modulefinder opcode pdb pkgutil profile pstats py_compile pyclbr pydoc "
        "rlcompleter runpy site symtable sysconfig tabnanny timeit token tokenize trace traceback "
        "tracemalloc unittest venv warnings zipapp zipimport"
    ),
    "graphics & sound": ("aifc chunk imghdr sndhdr sunau tkinter turtle turtledemo wave"),
}
"""Class -> top-level modules, after the chapters of the library's manual. Others are only pretrained on."""

LANGUAGE = "language"
_CLASS_OF = {module: name for name, modules in CLASSES.items() for module in modules.split()}
_LEFT_OUT = {
    "test",
    "tests",
    "idle_test",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "site-packages",
    "dist-packages",
}


@dataclass(frozen=True)
class Unit:
    """A topic, a module or a part of a file: what is wholly in training or wholly held out."""

    name: str
    label: str | None  # None: read for pretraining, no example of the task
    paragraphs: tuple[Paragraph, ...]


def reference() -> list[Unit]:
    """The topics of the language reference, shortest first: a long topic repeats the short ones inside it."""
    from pydoc_data.topics import topics

    order = sorted(topics, key=lambda name: (len(topics[name]), name))
    # It sets every piece of code in double quotes, by which it could be told from the library at a glance.
    plain = {name: re.sub('["“”]', "", topics[name]) for name in order}
    return [Unit(f"reference/{name}", LANGUAGE, tuple(paragraphs(plain[name]))) for name in order]


def library() -> list[Unit]:
    """The modules of the standard library that have docstrings, by name."""
    root = Path(sysconfig.get_path("stdlib"))
    units = []
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if _LEFT_OUT.intersection(parts) or parts[0].startswith(("_sysconfigdata", "config-")):
            continue
        text = [paragraph for docstring in docstrings(path.read_bytes()) for paragraph in paragraphs(docstring)]
        units.append(Unit("/".join(parts), _CLASS_OF.get(parts[0]), tuple(text)))
    return [unit for unit in units if unit.paragraphs]


def docstrings(source: bytes) -> Iterator[str]:
    """The docstrings of a module, its classes and functions, in the order of the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old escapes in other people's strings
        tree = ast.parse(source)
    documented = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    for node in sorted(documented, key=lambda node: getattr(node, "lineno", 0)):
        if docstring := ast.get_docstring(node, clean=False):
            yield inspect.cleandoc(docstring)
