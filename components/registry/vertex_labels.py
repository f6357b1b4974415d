"""What Vertex AI shows of a version: labels to find it by, and a description to read. Called by `vertex_backend`; pure.

A label's value has at most 63 lower-case letters, digits, `_` and `-`
(https://cloud.google.com/resource-manager/docs/labels-overview#requirements), so that few tags fit whole. They are copies for the
eye and for filters; what the registry itself relies on is the description's hashes and the record beside the files.
"""

import re
from collections.abc import Mapping

from components.registry.version import BASELINE_VERSION, CONTENT_HASH, PROBE_CONTENT_HASH, WITHHELD

KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
VALUE = re.compile(r"[a-z0-9_-]{1,63}")
SHA256 = re.compile(r"[0-9a-f]{64}")
PROBE = re.compile(r"\bprobe sha256 ([0-9a-f]{64})\b")


def labels(tags: Mapping[str, str]) -> dict[str, str]:
    """Those tags that can be labels; of a SHA-256 all hexadecimal digits but the last."""
    fitting = {key: text[:63] if SHA256.fullmatch(text) else text for key, text in tags.items() if KEY.fullmatch(key)}
    return {key: text for key, text in fitting.items() if VALUE.fullmatch(text)}


def description(tags: Mapping[str, str]) -> str:
    """A few sentences about a version. `probe_hash` finds the hash in it."""
    against = tags.get(BASELINE_VERSION)
    withheld = tags.get(WITHHELD, "")
    sentences = [
        f"Flower backbone, linear top-1 {tags.get('accuracy', 'unknown')}, untrained {tags.get('floor', 'unknown')}",
        f"judged against version {against}" if against else "judged without a champion to compare with",
        f"data {tags.get('data_source', 'unknown')}, run {tags.get('run_id', 'unknown')}",
        f"not champion when it was registered: {withheld[:300]}" if withheld else "",
        f"backbone sha256 {tags[CONTENT_HASH]}",
        f"probe sha256 {tags[PROBE_CONTENT_HASH]}",
    ]
    return ". ".join(filter(None, sentences)) + "."


def probe_hash(text: str) -> str:
    """The content hash of the probe, from a description; "" where somebody took it out."""
    found = PROBE.search(text)
    return found[1] if found else ""
