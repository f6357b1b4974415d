"""The formats that are read; and what a file is that is none of them, by its first bytes, with what to do about it.

The latter is only for the words of a refusal: nothing is decoded. The signatures are those of the formats' specifications.
"""

import codecs
import re
from typing import NamedTuple

# Pillow's names of the formats that are read, and the endings that files of each have; a copy gets the first.
ENDINGS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".jpg", ".mpo"),  # several JPEGs in one file, as stereo cameras and some phones write them; the first counts
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif", ".avifs"),
    "HEIF": (".heic", ".heif", ".hif"),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
}
FORMATS = tuple(name for name in ENDINGS if name != "MPO")  # which Pillow opens as a JPEG
NAMES = "JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF, HEIC or JPEG 2000"

CONVERT = "convert it to JPEG, PNG or TIFF"
DEVELOP = "develop it to JPEG or TIFF"
DOWNLOAD = "download the photograph again"
EXTRACT = "take the photographs out of it"
FRAMES = "save the frames that you want as JPEG or PNG"
REMOVE = "remove it from the folder"

RAW = "camera raw file"
POINTER = "pointer, not the photograph itself"


class Recognised(NamedTuple):
    """`name`: of the format. `advice`: what to do. `is_image`: whether it is a picture, in a format that is not read."""

    name: str
    advice: str
    is_image: bool

    def __str__(self) -> str:
        return f"{self.name}: {self.advice}"


# Offset, bytes there, name, advice, whether it is an image.
SIGNATURES = (
    (0, b"\xff\x0a", "JPEG XL", CONVERT, True),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL", CONVERT, True),
    (0, b"II\xbc", "JPEG XR", CONVERT, True),
    (0, b"8BPS", "Photoshop document (PSD)", CONVERT, True),
    (0, b"gimp xcf", "GIMP image (XCF)", CONVERT, True),
    (0, b"v/1\x01", "OpenEXR", CONVERT, True),
    (0, b"#?RADIANCE", "Radiance HDR", CONVERT, True),
    (0, b"qoif", "QOI", CONVERT, True),
    (0, b"DDS ", "DirectDraw surface (DDS)", CONVERT, True),
    (0, b"\0\0\x01\0", "Windows icon (ICO)", CONVERT, True),
    (0, b"SIMPLE  =", "FITS", CONVERT, True),
    (128, b"DICM", "DICOM", CONVERT, True),
    (0, b"AT&TFORM", "DjVu", CONVERT, True),
    (8, b"CR\x02\0", RAW, DEVELOP, True),
    (4, b"ftypcrx", RAW, DEVELOP, True),
    (0, b"FUJIFILMCCD-RAW", RAW, DEVELOP, True),
    (0, b"IIRO", RAW, DEVELOP, True),
    (0, b"IIRS", RAW, DEVELOP, True),
    (0, b"IIU\0", RAW, DEVELOP, True),
    (0, b"FOVb", RAW, DEVELOP, True),
    (0, b"version https://git-lfs.github.com/spec/", f"Git LFS {POINTER}", "run `git lfs pull` where it is from", False),
    (0, b"/annex/objects/", f"git-annex {POINTER}", "run `git annex get` where it is from", False),
    (0, b"%PDF-", "PDF", EXTRACT, False),
    (0, b"%!PS", "PostScript", CONVERT, True),
    (0, b"PK\x03\x04", "ZIP archive or office document", EXTRACT, False),
    (0, b"Rar!\x1a\x07", "RAR archive", EXTRACT, False),
    (0, b"7z\xbc\xaf\x27\x1c", "7-Zip archive", EXTRACT, False),
    (0, b"\x1f\x8b", "gzip archive", EXTRACT, False),
    (0, b"BZh", "bzip2 archive", EXTRACT, False),
    (0, b"\xfd7zXZ\0", "xz archive", EXTRACT, False),
    (0, b"(\xb5/\xfd", "Zstandard archive", EXTRACT, False),
    (257, b"ustar", "tar archive", EXTRACT, False),
    (0, b"\x89HDF\r\n\x1a\n", "HDF5 file", EXTRACT, False),
    (0, b"\x93NUMPY", "NumPy array", CONVERT, False),
    (0, b"\x1aE\xdf\xa3", "video (Matroska or WebM)", FRAMES, False),
    (8, b"AVI LIST", "video (AVI)", FRAMES, False),
    (0, b"\0\0\x01\xba", "video (MPEG)", FRAMES, False),
    (0, b"\0\0\x01\xb3", "video (MPEG)", FRAMES, False),
    (0, b"FLV\x01", "video (Flash)", FRAMES, False),
    (0, b"0&\xb2u\x8ef\xcf\x11", "video or sound (Windows Media)", FRAMES, False),
    (4, b"moov", "video (QuickTime)", FRAMES, False),
    (4, b"mdat", "video (QuickTime)", FRAMES, False),
    (0, b"OggS", "video or sound (Ogg)", REMOVE, False),
    (0, b"ID3", "sound (MP3)", REMOVE, False),
    (8, b"WAVE", "sound (WAV)", REMOVE, False),
    (0, b"fLaC", "sound (FLAC)", REMOVE, False),
    (0, b"\x00\x05\x16\x07", "macOS resource file (AppleDouble)", REMOVE, False),
    (0, b"\x7fELF", "program", REMOVE, False),
    (0, b"MZ\x90\0", "Windows program", REMOVE, False),
    (0, b"SQLite format 3\0", "SQLite database", REMOVE, False),
)  # fmt: skip

MARKUP = (
    (rb"<!doctype html|<html|<head|<body", Recognised("HTML page, probably an error message", DOWNLOAD, False)),
    (rb"<(\?xml|!doctype)[^\0]{0,400}<svg\b|<svg\b", Recognised("SVG drawing", CONVERT, True)),
    (rb"<\?xml|<[a-z]+[ >]", Recognised("XML", f"{DOWNLOAD}, or {REMOVE}", False)),
)
NETPBM = re.compile(rb"P[1-7F]\s")
BEGINNING = 512


def recognise(data: bytes) -> Recognised | None:
    """What the file is, if it is of a known format that is not read."""
    for offset, signature, name, advice, is_image in SIGNATURES:
        if data.startswith(signature, offset):
            return Recognised(name, advice, is_image)
    if data[4:8] == b"ftyp":
        return Recognised("video (MP4 or QuickTime)", FRAMES, False)
    beginning = data[:BEGINNING].removeprefix(b"\xef\xbb\xbf").lstrip()
    for pattern, found in MARKUP:
        if re.match(pattern, beginning, re.IGNORECASE):
            return found
    if NETPBM.match(beginning):
        return Recognised("Netpbm image", CONVERT, True)
    if beginning[:1] in (b"{", b"["):
        return Recognised("JSON, or other text", REMOVE, False)
    return Recognised("text", REMOVE, False) if beginning and _is_text(beginning) else None


def _is_text(beginning: bytes) -> bool:
    try:
        # Unlike bytes.decode it takes a character that is cut off at the end.
        codecs.getincrementaldecoder("utf-8")().decode(beginning)
    except UnicodeDecodeError:
        return False
    return b"\0" not in beginning
