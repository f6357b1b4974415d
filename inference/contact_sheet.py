"""Photographs as one HTML page: a search, with each query above its matches, or predictions, class by class.

The page is self-contained: no request, no script. File names, which are untrusted, are shown as text. Pictures are decoded and
encoded again, so that no byte of a photograph's file gets into the page.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import jinja2
from PIL import Image

import pipeline_config
from components.example_gen import listing, photograph
from components.example_gen.photograph import Encoded
from components.example_gen.source import TFDS_PREFIX, every_image
from contracts import files
from contracts.layout import Layout
from contracts.text import visible
from inference.index import Header
from inference.search import Match, read_query

# Pixels of a picture's longer side: twice the size on a phone, for sharp displays. About 10 kB each.
THUMBNAIL_SIDE = 240
JPEG_QUALITY = 80


@dataclass(frozen=True)
class Picture:
    """One photograph on the page: `uri` is a data: URI, or empty if there is no picture, and `note` says why."""

    name: str
    uri: str
    note: str = ""


@dataclass(frozen=True)
class Sheet:
    """A section of a page.

    heading, note: text above the pictures. pictures: each with a figure in words, such as its similarity. query: a picture beside
    the heading, if there is one.
    """

    heading: str
    note: str
    pictures: Sequence[tuple[Picture, str]]
    query: Picture | None = None


def write_page(path: str, title: str, introduction: str, sheets: Sequence[Sheet]) -> None:
    """Writes a page of sheets, whole or not at all. All text is escaped."""
    files.write_text(path, _TEMPLATE.render(title=title, introduction=introduction, sheets=sheets))


def write(path: str, queries: Sequence[str], matches: Sequence[Sequence[Match]], header: Header, root: str) -> None:
    """Writes the page of a search.

    Args:
      path: the file, written whole or not at all.
      queries, matches: the arguments and the result of `search`.
      header: of the index that was searched; its source is where the pictures of matches come from.
      root: as in `search`; synthetic flowers are kept below it.
    """
    wanted = {match.path: match.content_hash for found in matches for match in found}
    shown = pictures(header.source, wanted, root, header.follow_links)
    sheets = []
    for number, (query, found) in enumerate(zip(queries, matches, strict=True), start=1):
        asked = picture(read_query(query, _LIMIT))
        note = f"query {number} of {len(queries)}, {len(found)} nearest"
        sheets.append(Sheet(asked.name, note, [(shown[match.path], f"{match.similarity:.3f}") for match in found], asked))
    introduction = (f"Similarity by {header.name} version {header.version}, among the photographs of {visible(header.source)}: 1 the "
                    "same, 0 no more alike than any two, -1 opposite")  # fmt: skip
    write_page(path, "Nearest photographs", introduction, sheets)


_LIMIT = photograph.max_file_bytes(pipeline_config.Data.max_pixels)


def pictures(source: str, wanted: dict[str, str], root: str, follow_links: bool = False) -> dict[str, Picture]:
    """The pictures of `wanted` (path in the source to content hash), by path.

    follow_links: whether the source was read with `data.follow_links`.

    A data set has no access by path: it is read until all are found. A photograph that is gone or has changed says so.
    """
    if source != "synthetic" and not source.startswith(TFDS_PREFIX):
        found = ((path, listing.candidate_at(source, path, follow_links)) for path in wanted)
        return {path: picture(listing.read(candidate, _LIMIT), wanted[path]) for path, candidate in found}
    in_data_set: dict[str, Picture] = {}
    for read in every_image(source, str(Layout.at(root).datasets), _LIMIT):
        encoded = read()
        if encoded.path in wanted and encoded.path not in in_data_set:
            in_data_set[encoded.path] = picture(encoded, wanted[encoded.path])
            if len(in_data_set) == len(wanted):
                break
    return {path: in_data_set.get(path, Picture(visible(path), "", "not in the data set any more")) for path in wanted}


def picture(encoded: Encoded, content_hash: str = "") -> Picture:
    """One photograph; a note says so where it cannot be shown, or where its file is not that of `content_hash`."""
    name = visible(encoded.path)
    try:
        if encoded.reason:
            raise photograph.Unusable(encoded.reason, encoded.detail)
        prepared = photograph.prepare(encoded.data, THUMBNAIL_SIDE, pipeline_config.Data.max_pixels)
    except photograph.Unusable as unusable:
        return Picture(name, "", visible(str(unusable)))
    changed = content_hash and encoded.content_hash != content_hash
    return Picture(name, _thumbnail(prepared.jpeg), "the file has changed since it was read" if changed else "")


def _thumbnail(jpeg: bytes) -> str:
    with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
        image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        clean = Image.frombytes("RGB", image.size, image.convert("RGB").tobytes())  # without the file's metadata
    buffer = io.BytesIO()
    clean.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


_ENVIRONMENT = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
_TEMPLATE = _ENVIRONMENT.from_string(
    """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark; --line: light-dark(#d8d8d2, #3c3d42); --quiet: light-dark(#5c5c58, #a9aab0);
  --ground: light-dark(#fbfaf7, #17181b); --card: light-dark(#fff, #212226); --accent: light-dark(#0a6b4f, #6fd0ad); }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 80rem; padding: 1rem; font: 1rem/1.45 system-ui, sans-serif; background: var(--ground);
  color: light-dark(#1c1c1a, #ececee); }
h1 { font-size: 1.4rem; margin: .5rem 0 0; }
h2 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
p { margin: .3rem 0; color: var(--quiet); overflow-wrap: anywhere; }
section { margin: 1.5rem 0; padding-top: 1rem; border-top: 1px solid var(--line); }
.query { display: flex; gap: 1rem; align-items: center; margin-bottom: 1rem; }
.query > .picture { width: 7rem; border-color: var(--accent); border-width: 2px; flex: none; }
ol { list-style: none; margin: 0; padding: 0; display: grid; gap: .75rem;
  grid-template-columns: repeat(auto-fill, minmax(min(8.5rem, 44%), 1fr)); }
.picture { display: block; width: 100%; aspect-ratio: 1; object-fit: cover; border: 1px solid var(--line); border-radius: .4rem;
  background: var(--card); }
span.picture { display: grid; place-items: center; padding: .5rem; font-size: .75rem; text-align: center; color: var(--quiet);
  overflow: hidden; }
.similarity { font-weight: 600; font-variant-numeric: tabular-nums; color: var(--accent); }
.name, .note { font-size: .8rem; overflow-wrap: anywhere; margin: 0; }
@media print { body { background: none; max-width: none; } section { break-inside: avoid-page; } }
</style>
</head>
<body>
{% macro picture(shown, alt) %}
{% if shown.uri %}<img class="picture" src="{{ shown.uri }}" alt="{{ alt }}">
{% else %}<span class="picture">{{ shown.note }}</span>
{% endif %}
{% endmacro %}
<main>
<h1>{{ title }}</h1>
<p>{{ introduction }}</p>
{% for sheet in sheets %}
<section>
<div class="query">
{% if sheet.query %}{{ picture(sheet.query, "The query") }}
{% endif %}
<div><h2>{{ sheet.heading }}</h2><p>{{ sheet.note }}</p></div>
</div>
<ol>
{% for shown, figure in sheet.pictures %}
<li>
{{ picture(shown, "Match " ~ loop.index if sheet.query else "Photograph " ~ loop.index) }}
<p class="name"><span class="similarity">{{ figure }}</span> {{ shown.name }}</p>
{% if shown.uri and shown.note %}<p class="note">{{ shown.note }}</p>
{% endif %}
</li>
{% endfor %}
</ol>
</section>
{% endfor %}
</main>
</body>
</html>
"""
)
