"""A file of each kind that a camera, a phone, a browser or a drawing program writes, and of each that a served model refuses."""

import io
import struct

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

# XYZ (D50) of full red, green and blue, in columns. sRGB: brucelindbloom.com, "RGB/XYZ Matrices". Display P3: Apple's profile.
SRGB = np.array([[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]])
DISPLAY_P3 = np.array([[0.51512, 0.29198, 0.1571], [0.2412, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])
# Adobe RGB (1998), annex C; its curve is a power of 563/256.
ADOBE = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
ADOBE_GAMMA = 563 / 256

SIZE = (60, 44)


def fixed_points(*values: float) -> bytes:
    """ICC's s15Fixed16Number."""
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def parametric(gamma: float | None = None) -> bytes:
    """ICC's parametricCurveType: a power, or sRGB's curve."""
    values = [gamma] if gamma else [2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045]
    return b"para\0\0\0\0" + struct.pack(">HH", 0 if gamma else 3, 0) + fixed_points(*values)


def points(gamma: float, count: int = 1024) -> bytes:
    """ICC's curveType with as many points of a power, or the power itself where `count` is 1."""
    values = [round(gamma * 256)] if count == 1 else [round(65535 * (x / (count - 1)) ** gamma) for x in range(count)]
    return b"curv\0\0\0\0" + struct.pack(f">I{count}H", count, *values)


def profile(tags: dict[bytes, bytes], space: bytes = b"RGB ") -> bytes:
    """An ICC profile, version 4, with these tags besides those that each needs."""
    word = b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", 2, 28) + b"\0X"
    tags = {b"desc": word, b"cprt": word, b"wtpt": b"XYZ \0\0\0\0" + fixed_points(0.9642, 1, 0.8249), **tags}
    table, body, start = b"", b"", 132 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content
    head = struct.pack(">II", start + len(body), 0) + b"\4\0\0\0mntr" + space + b"XYZ " + bytes(12) + b"acsp" + bytes(28)
    return (head + fixed_points(0.9642, 1, 0.8249)).ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def by_primaries(matrix: np.ndarray, curve: bytes) -> bytes:
    """A profile of three colours and one curve."""
    tags = {f"{name}XYZ".encode(): b"XYZ \0\0\0\0" + fixed_points(*matrix[:, column]) for column, name in enumerate("rgb")}
    return profile(tags | {f"{name}TRC".encode(): curve for name in "rgb"})


def exif(orientation: int, order: str = ">") -> bytes:
    """Exif data that have a maker, outside the directory, and an orientation."""
    entries = [(0x010F, 2, 8, 38), (0x0112, 3, 1, orientation if order == "<" else orientation << 16)]
    head = {">": b"MM\0*", "<": b"II*\0"}[order] + struct.pack(f"{order}IH", 8, len(entries))
    return b"Exif\0\0" + head + b"".join(struct.pack(f"{order}HHII", *one) for one in entries) + bytes(4) + b"Camera\0\0"


def xmp(orientation: int) -> bytes:
    """XMP that has an orientation."""
    return f'<x:xmpmeta><rdf:Description tiff:Make="ü" tiff:Orientation="{orientation}"/></x:xmpmeta>'.encode()


def picture(size: tuple[int, int] = SIZE, seed: int = 1) -> Image.Image:
    """A smooth random picture without any symmetry."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def encode(image: Image.Image, format: str, **options: object) -> bytes:
    """An image file."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def see_through(size: tuple[int, int] = SIZE) -> Image.Image:
    """Opaque inside an ellipse, clear and black outside, half clear between."""
    y, x = np.mgrid[-1 : 1 : size[1] * 1j, -1 : 1 : size[0] * 1j]
    alpha = np.clip(2.5 - 2.5 * np.hypot(x, y), 0, 1)
    colours = np.where(alpha[..., None] > 0, np.asarray(picture(size)), 0)
    return Image.fromarray(np.dstack([colours, 255 * alpha]).astype(np.uint8))


def grey_16(scale: int = 257) -> Image.Image:
    """16 bits of grey, up to 255 times `scale`."""
    return Image.fromarray(np.asarray(picture().convert("L")).astype(np.uint16) * scale)


def served() -> dict[str, bytes]:
    """Files that are served, by what they are."""
    plain, large, clear = picture(), picture((640, 437)), see_through()
    palette = plain.quantize(16)
    p3, adobe = by_primaries(DISPLAY_P3, parametric()), by_primaries(ADOBE, points(ADOBE_GAMMA, 1))
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", xmp(8).decode())
    return {
        "JPEG": encode(plain, "JPEG"),
        "JPEG, progressive": encode(plain, "JPEG", progressive=True),
        "JPEG, grey": encode(plain.convert("L"), "JPEG"),
        "JPEG, CMYK": encode(plain.convert("CMYK"), "JPEG"),
        "JPEG, large": encode(large, "JPEG"),
        "JPEG, CMYK and large": encode(large.convert("CMYK"), "JPEG"),
        "JPEG of several pictures (MPO)": encode(plain, "MPO", save_all=True, append_images=[picture(seed=2)]),
        **{f"JPEG, Exif orientation {number}": encode(plain, "JPEG", exif=exif(number)) for number in range(1, 9)},
        **{f"JPEG, Exif orientation {number}, little endian": encode(plain, "JPEG", exif=exif(number, "<")) for number in (3, 6)},
        "JPEG, large, Exif orientation 6": encode(large, "JPEG", exif=exif(6)),
        "JPEG, XMP orientation 6": encode(plain, "JPEG", xmp=xmp(6)),
        "JPEG, sRGB profile": encode(plain, "JPEG", icc_profile=by_primaries(SRGB, parametric())),
        "JPEG, Display P3": encode(plain, "JPEG", icc_profile=p3),
        "JPEG, Display P3, Exif orientation 6": encode(plain, "JPEG", icc_profile=p3, exif=exif(6)),
        "JPEG, Adobe RGB": encode(plain, "JPEG", icc_profile=adobe),
        "JPEG, Adobe RGB with a curve of points": encode(plain, "JPEG", icc_profile=by_primaries(ADOBE, points(ADOBE_GAMMA))),
        "JPEG, grey with a profile": encode(plain.convert("L"), "JPEG", icc_profile=profile({b"kTRC": points(1.8, 1)}, b"GRAY")),
        "JPEG, profile for other numbers": encode(plain, "JPEG", icc_profile=profile({b"kTRC": points(1.8, 1)}, b"GRAY")),
        "JPEG, broken profile": encode(plain, "JPEG", icc_profile=b"no profile"),
        "PNG": encode(plain, "PNG"),
        "PNG, large": encode(large, "PNG"),
        "PNG, alpha": encode(clear, "PNG"),
        "PNG, alpha and large": encode(see_through((640, 437)), "PNG"),
        "PNG, grey with alpha": encode(clear.convert("LA"), "PNG"),
        "PNG, palette": encode(palette, "PNG"),
        "PNG, palette with a clear colour": encode(palette, "PNG", transparency=0),
        "PNG, palette with alpha": encode(palette, "PNG", transparency=bytes(range(0, 256, 16))),
        "PNG, a clear colour": encode(palette.convert("RGB"), "PNG", transparency=palette.convert("RGB").getpixel((9, 9))),
        "PNG, grey with a clear tone": encode(plain.convert("L").quantize(8).convert("L"), "PNG", transparency=120),
        "PNG, 16 bits of grey": encode(grey_16(), "PNG"),
        "PNG, black and white": encode(plain.convert("1"), "PNG"),
        "PNG, grey of 4 bits": encode(plain.convert("L").quantize(16), "PNG"),
        "PNG, palette of two colours": encode(plain.quantize(2), "PNG"),
        "PNG, Exif orientation 5": encode(plain, "PNG", exif=exif(5)),
        "PNG, XMP orientation 8": encode(plain, "PNG", pnginfo=text),
        "PNG, Display P3": encode(plain, "PNG", icc_profile=p3),
        "WebP": encode(plain, "WEBP"),
        "WebP, lossless": encode(plain, "WEBP", lossless=True),
        "WebP, alpha": encode(clear, "WEBP"),
        "WebP, large, Exif orientation 7, Display P3": encode(large, "WEBP", exif=exif(7), icc_profile=p3),
        "GIF": encode(plain, "GIF"),
        "GIF, a clear colour": encode(palette, "GIF", transparency=0),
        "GIF, animated": encode(plain, "GIF", save_all=True, append_images=[picture(seed=2)]),
        "BMP": encode(plain, "BMP"),
        "BMP, four channels": encode(clear, "BMP"),
        "BMP, palette": encode(plain.quantize(256), "BMP"),
        "BMP, grey": encode(plain.convert("L"), "BMP"),
        "BMP, large": encode(large, "BMP"),
    }  # fmt: skip


def refused() -> dict[str, tuple[bytes, str]]:
    """Files that are refused, and what the refusal says."""
    plain = picture()
    p3 = by_primaries(DISPLAY_P3, parametric())
    with_tables = by_primaries(DISPLAY_P3, parametric()).replace(b"cprt", b"A2B0")
    ink = profile({b"A2B0": b"mft1"}, b"CMYK")
    raw = PngInfo()
    raw.add_text("Raw profile type exif", "\nexif\n8\n" + exif(6).hex(), zip=True)
    return {
        "TIFF": (encode(plain, "TIFF"), "a file in the format TIFF"),
        "AVIF": (encode(plain, "AVIF"), "a file in the format AVIF"),
        "HEIC": (b"\0\0\0\x1cftypheic" + bytes(30), "a file in the format HEIC"),
        "JPEG 2000": (encode(plain, "JPEG2000"), "a file in the format JPEG 2000"),
        "text": (b"no photograph", "no file in the formats JPEG, PNG, WebP, GIF or BMP"),
        "nothing": (b"", "an empty file"),
        "JPEG, cut before its picture": (encode(plain, "JPEG")[:100], "a damaged JPEG"),
        "JPEG, lossless": (encode(plain, "JPEG").replace(b"\xff\xc0", b"\xff\xc3"), "arithmetic-coded, lossless or hierarchical"),
        "JPEG, CMYK with a profile": (encode(plain.convert("CMYK"), "JPEG", icc_profile=ink), "for print \\(CMYK\\) with a colour"),
        "JPEG, profile with tables": (encode(plain, "JPEG", icc_profile=with_tables), "whose colour profile has tables"),
        "PNG, nearly black": (encode(grey_16(8), "PNG"), "a nearly black picture of 16 bits"),
        "PNG, Exif as text": (encode(plain, "PNG", pnginfo=raw), "Exif data or XMP as compressed text"),
        "PNG, an icon": (encode(picture((60, 12)), "PNG"), "a side of less than 16 pixels"),
        "PNG, of too many pixels": (claiming(encode(plain, "PNG"), 65_536, 65_536), "more than 64000000 pixels"),
        "WebP, animated": (encode(plain, "WEBP", save_all=True, append_images=[picture(seed=2)]), "an animated WebP"),
        "BMP, black and white": (encode(plain.convert("1"), "BMP"), "a BMP of other numbers than 8, 24 or 32 bits"),
        "PNG, large profile": (encode(plain, "PNG", icc_profile=p3 + np.random.default_rng(0).bytes(80_000)), "large colour profile"),
    }  # fmt: skip


def claiming(png: bytes, width: int, height: int) -> bytes:
    """A PNG file whose header says another size."""
    return png[:16] + struct.pack(">II", width, height) + png[24:]
