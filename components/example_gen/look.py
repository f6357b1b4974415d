"""What ingest would find in folders, by ingest's own code, without writing anything: `flowers doctor` says it before a run."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pipeline_config
from components.example_gen import descriptions, listing, normalise, photograph, records, report
from components.example_gen.folder import Folder
from contracts.cores import cores

# Photographs that are decoded: two cores take half a minute for so many of 12 megapixels, and a few seconds for small ones. Folders of
# people's own photographs seldom have more that are labelled.
MOST = 1000


class Look(NamedTuple):
    """`report`: as `components.example_gen.report.build` makes it, of the files that were looked at. `files`: how many there are."""

    report: dict
    looked_at: int
    files: int

    @property
    def is_whole(self) -> bool:
        """Whether every file was looked at, so that a run would find the same."""
        return self.looked_at == self.files


def look(parts: Sequence[Folder], data: pipeline_config.Data, most: int = MOST) -> Look:
    """Decodes and divides the files of folders as ingest does.

    Args:
      parts: the source, and the one of `data.unlabelled` if that is a folder.
      data: the settings.
      most: how many files are looked at; of more, as many in equal distances.
    """
    files = [candidate for part in parts for candidate in part.candidates]
    chosen = files if len(files) <= most else [files[index * len(files) // most] for index in range(most)]

    def describe(candidate: listing.Candidate) -> descriptions.Description:
        encoded = listing.read(candidate, photograph.max_file_bytes(data.max_pixels))
        return normalise.describe(encoded, data.max_side, data.max_pixels, data.min_side)[0]

    with ThreadPoolExecutor(cores()) as threads:
        found = descriptions.gather_few(threads.map(describe, chosen))
    source = parts[0]
    divided = records.divide(
        found, source.given_splits, data.eval_fraction, data.min_eval, data.near_duplicate_distance, data.group_by)  # fmt: skip
    built = report.build(divided, source.name, source.kind, "", source.classes, source.split_rule, source.unused, "", "")
    return Look(built, len(chosen), len(files))
