"""What a storage service holds: buckets of objects with generations, written only if preconditions hold.

The rules are those of Google Cloud Storage's JSON API. Nothing here knows of HTTP; `storage_server.py` does.
"""

import base64
import fnmatch
import functools
import hashlib
import itertools
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import google_crc32c

Query = Mapping[str, str]


class Refusal(Exception):
    """An answer that is an error: its HTTP status and what it says."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Stored:
    """An object as it was written once."""

    bucket: str
    name: str
    content: bytes
    generation: int
    metageneration: int = 1
    properties: dict[str, Any] = field(default_factory=dict)  # contentType, contentEncoding, metadata...

    @functools.cached_property
    def crc32c(self) -> str:
        return base64.b64encode(google_crc32c.Checksum(self.content).digest()).decode()

    @functools.cached_property
    def md5(self) -> str:
        return base64.b64encode(hashlib.md5(self.content).digest()).decode()

    def resource(self) -> dict[str, Any]:
        """The object as the API describes it."""
        now = datetime.fromtimestamp(self.generation / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {
            "contentType": "application/octet-stream",
            **self.properties,
            "kind": "storage#object",
            "id": f"{self.bucket}/{self.name}/{self.generation}",
            "bucket": self.bucket,
            "name": self.name,
            "generation": str(self.generation),
            "metageneration": str(self.metageneration),
            "size": str(len(self.content)),
            "crc32c": self.crc32c,
            "md5Hash": self.md5,
            "etag": f"{self.generation}/{self.metageneration}",
            "storageClass": "STANDARD",
            "timeCreated": now,
            "updated": now,
        }


class Objects:
    """The service's state. Every method is one step that others see whole or not at all."""

    def __init__(self, *buckets: str, page: int = 1000) -> None:
        self.buckets: dict[str, dict[str, Stored]] = {name: {} for name in buckets}
        self.forbidden: set[str] = set()  # buckets that these credentials may not use
        self.written: list[str] = []  # the name of every object that was written, each time it was
        self.lock = threading.RLock()
        self._page = page
        self._generations = itertools.count(1_700_000_000_000_000)

    def bucket(self, name: str) -> dict[str, Stored]:
        """The objects of a bucket by name."""
        if name in self.forbidden:
            raise Refusal(403, f"anonymous caller does not have storage.objects access to {name}")
        if name not in self.buckets:
            raise Refusal(404, "The specified bucket does not exist.")
        return self.buckets[name]

    def require(self, bucket: str, name: str, query: Query) -> Stored | None:
        """What is there now. Refuses when a precondition of the query does not hold."""
        found = self.bucket(bucket).get(name)
        generation, metageneration = (found.generation, found.metageneration) if found else (0, 0)
        for what, value in (("Generation", generation), ("Metageneration", metageneration)):
            wanted, unwanted = query.get(f"if{what}Match"), query.get(f"if{what}NotMatch")
            if (wanted is not None and int(wanted) != value) or (unwanted is not None and int(unwanted) == value):
                raise Refusal(412, "At least one of the pre-conditions you specified did not hold.")
        return found

    def get(self, bucket: str, name: str, query: Query) -> Stored:
        """An object. Refuses when it is not there, or no longer of the generation that is asked for."""
        with self.lock:
            found = self.bucket(bucket).get(name)
            if found is None or query.get("generation") not in (None, str(found.generation)):
                raise Refusal(404, f"No such object: {bucket}/{name}")
            self.require(bucket, name, query)
            return found

    def insert(self, bucket: str, name: str, query: Query, *, content: bytes, properties: dict[str, Any]) -> Stored:
        """Write an object. Refuses when what was sent of its checksums is not what arrived."""
        with self.lock:
            self.require(bucket, name, query)
            kept = {key: properties[key] for key in ("contentType", "contentEncoding", "metadata") if key in properties}
            stored = Stored(bucket, name, content, next(self._generations), properties=kept)
            sent = properties.get("crc32c"), properties.get("md5Hash")
            if (sent[0] or stored.crc32c, sent[1] or stored.md5) != (stored.crc32c, stored.md5):
                raise Refusal(400, f"Provided checksums {sent} do not match {stored.crc32c}, {stored.md5}")
            self.buckets[bucket][name] = stored
            self.written.append(name)
            return stored

    def delete(self, bucket: str, name: str, query: Query) -> None:
        """Remove an object."""
        with self.lock:
            self.get(bucket, name, query)
            del self.buckets[bucket][name]

    def compose(self, bucket: str, name: str, query: Query, *, parts: list[str]) -> Stored:
        """Write an object that is others in a row."""
        with self.lock:
            content = b"".join(self.get(bucket, part, {}).content for part in parts)
            return self.insert(bucket, name, query, content=content, properties={})

    def listed(self, bucket: str, query: Query) -> dict[str, Any]:
        """A page of a bucket's objects, and the prefixes up to a delimiter."""
        with self.lock:
            names = list(self._names(self.bucket(bucket), query))
            entries = sorted({self._entry(name, query) for name in names})
            start = int(query.get("pageToken") or 0)
            stop = start + min(self._page, int(query.get("maxResults") or self._page))
            page = entries[start:stop]
            answer: dict[str, Any] = {"kind": "storage#objects"}
            answer["items"] = [self.buckets[bucket][name].resource() for name, is_prefix in page if not is_prefix]
            answer["prefixes"] = [name for name, is_prefix in page if is_prefix]
            return answer | ({"nextPageToken": str(stop)} if stop < len(entries) else {})

    def _names(self, objects: dict[str, Stored], query: Query) -> Iterator[str]:
        pattern = _glob(query["matchGlob"]) if query.get("matchGlob") else re.compile("")
        for name in objects:
            if name.startswith(query.get("prefix", "")) and pattern.match(name):
                yield name

    def _entry(self, name: str, query: Query) -> tuple[str, bool]:
        """What stands in a listing for an object: its name, or its prefix and True."""
        delimiter, start = query.get("delimiter"), len(query.get("prefix", ""))
        end = name.find(delimiter, start) if delimiter else -1
        return (name, False) if end < 0 else (name[: end + len(delimiter or "")], True)


def _glob(pattern: str) -> re.Pattern[str]:
    """The service's globs: `*` and `?` stop at a slash, `**` does not, `{a,b}` are alternatives."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^]]*\]|[{},])", pattern)
    known = {"**/": "(.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]", "{": "(", "}": ")", ",": "|"}
    one = (known.get(part) or (fnmatch.translate(part)[4:-3] if part[:1] == "[" else re.escape(part)) for part in parts)
    return re.compile("".join(one) + r"\Z")
