"""What ingest and a served model must agree on: by which bytes a format is known, and the numbers by which a file becomes a record.

The signatures are those of the formats' specifications.
"""

# Offset, bytes there, name. Not BMP's "BM", with which ordinary text may begin.
SIGNATURES = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF87a", "GIF"),
    (0, b"GIF89a", "GIF"),
    (8, b"WEBP", "WebP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"MM\0+", "TIFF"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
)
# Brands of ISO base media files (bytes 8 to 12, after "ftyp"): AVIF 1.2, section 6; ISO/IEC 23008-12, annex B and section 10.
BRANDS = {
    "AVIF": (b"avif", b"avis"),
    "HEIC": (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1", b"mif2"),
}

# JPEG frames that TensorFlow's decoder reads: Huffman-coded baseline, extended and progressive (SOF0 to SOF2).
PORTABLE_FRAMES = (0xC0, 0xC1, 0xC2)
JPEG_QUALITY = 92  # visually lossless; only files that have to be converted are re-encoded

# Exif tag 0x0112, TIFF 6.0: the operation that turns the stored picture upright.
ORIENTATION_TAG = 0x0112

WHITE_16 = 65_535
# A picture with 16 bits whose largest value is below 4096 of 65,535, a sixteenth of white, would be black to the eye and to a
# backbone. Cameras and scanners with 10 or 12 bits store such pictures, whose white is not stated anywhere.
LEAST_16 = 4096

MOST_PROFILE_BYTES = 4 << 20  # larger colour profiles are ignored: those of printing presses, the largest in use, have under 3 MB
# A profile that moves no colour by more than this many of 255 steps means sRGB: the published sRGB profiles differ by rounding.
SAME_COLOUR = 2
COLOUR_GRID = 9  # colours tried along each of red, green and blue


def readable_format(data: bytes) -> str:
    """The name of the format, of those that are read, with whose signature the file begins; "" if there is none."""
    for offset, signature, name in SIGNATURES:
        if data.startswith(signature, offset):
            return name
    if data[4:8] == b"ftyp":
        return next((name for name, brands in BRANDS.items() if data[8:12] in brands), "")
    return ""
