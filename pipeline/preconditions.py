"""What can be known about a run before any library is imported: it is said within a second, and nothing has been written.

Every function raises ConfigurationError, in one line that says what to do. Folders in buckets and data sets of TensorFlow Datasets
need libraries; they are checked when the run has begun.
"""

import difflib
import errno
import itertools
import os
import pathlib
import socket
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence

from components.example_gen import names
from contracts.layout import Layout
from contracts.text import visible
from pipeline import contradictions, settings
from pipeline.contradictions import Way
from pipeline.full_disk import NUMBERS
from pipeline_config import KERAS_FILE, RANDOM, Config, ConfigurationError, Data, require, version_of
from registry import keys
from registry.backend import RegistryError

# The presets for photographs of one's own. Without --data they would train for up to hours on flowers that the project draws
# itself, which `quick` is made for.
NEED_DATA = ("cpu", "gpu")

# Where Linux shows the driver of GPUs that TensorFlow can use: NVIDIA's, the same inside of Windows (WSL 2), AMD's.
GPU_DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
# Variables by which devices are hidden from a process; "" and -1 hide all.
HIDING = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")

# How long a job server may take to answer: it is on this machine, or near it.
JOB_SERVER_SECONDS = 5
# gRPC is spoken over HTTP/2, whose client begins with these and whose server with settings too (RFC 9113, sections 3.4 and 6.5).
HTTP_2_PREFACE, SETTINGS_FRAME = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


def configuration(preset: str, options: Mapping[str, str | None], overrides: Sequence[str], way: Way) -> Config:
    """The configuration that was asked for, in which every setting that was given counts.

    Args:
      preset: its name.
      options: value by setting, of those that have an option of their own; None where it was not given.
      overrides: KEY=VALUE of all others.
      way: how it is to be run.

    Raises:
      ConfigurationError: an unknown preset or key, an invalid value, a setting that would have no effect or is given twice, or no
        source where the preset needs one.
    """
    require_agreement(options, overrides)
    given = [*(f"{key}={value}" for key, value in options.items() if value is not None), *overrides]
    config = settings.configuration(preset, given)
    contradictions.require_none(config, given, way)
    require_data_named(config, given)
    return config if config.pretrain.start == RANDOM else settings.for_warm_start(config, given)


def require_data_named(config: Config, overrides: Iterable[str]) -> None:
    """Whether a source was named where the preset is for photographs of one's own; `overrides` are KEY=VALUE."""
    named = any(one.partition("=")[0].strip() == "data.source" for one in overrides)
    if config.preset in NEED_DATA and not named:
        raise ConfigurationError(
            f"the preset {config.preset} is for photographs of your own: add --data FOLDER, or --data tfds:tf_flowers to try it; "
            "--preset quick learns from synthetic flowers"
        )


def require_sources(data: Data) -> None:
    """Whether the folders and the labels file that the settings name are there, can be read and are not empty."""
    if is_local(data.source):
        _require_folder("data.source", "--data", data.source)
    if is_local(data.unlabelled):
        _require_folder("data.unlabelled", "--unlabelled", data.unlabelled)
    if not is_local(data.labels):
        return
    name = visible(data.labels)
    if os.path.isdir(data.labels):
        raise ConfigurationError(f"data.labels: {name} is a folder; --labels takes a file, CSV or Label Studio's JSON export")
    if not os.path.exists(data.labels):
        raise ConfigurationError(f"data.labels: there is no file {name}; check the path given with --labels")
    if not os.access(data.labels, os.R_OK):
        raise ConfigurationError(f"data.labels: {name} may not be read by this user; change its permissions")


def require_any_source(source: str) -> None:
    """Whether a source of any layout, which may also be a single image, is there."""
    if is_local(source) and not os.path.exists(os.path.expanduser(source)):
        raise ConfigurationError(f"there is no folder or file {visible(source)!r}; expected `synthetic`, `tfds:NAME`, a folder or an image")


def require_registry(layout: Layout, shared: str, instead: str = "") -> None:
    """Whether a version can be registered at all: a run makes the folder. A server, `shared`, is asked later. `instead` says what
    else would do."""
    if not shared and not layout.registry.is_dir():
        raise ConfigurationError(f"there is no registry at {visible(str(layout.registry))}; `flowers run` registers a first version, and "
                                 f"--root names the DIR of one that has, --registry a server{instead}")  # fmt: skip


def require_search(queries: Iterable[str], index: str) -> None:
    """Whether the index is there, and each query is a file."""
    if is_local(index) and not os.path.exists(index):
        raise ConfigurationError(f"there is no index {visible(index)}; `flowers embed SOURCE -o {visible(index)}` makes one")
    for query in queries:
        name = visible(query)
        if os.path.isdir(query):
            raise ConfigurationError(f"{name} is a folder; a query is an image file, such as those of {name.rstrip('/')}/*.jpg")
        if is_local(query) and not os.path.exists(query):
            raise ConfigurationError(f"{name}: there is no such file; a query is an image file")


def require_page(page: str | None) -> None:
    """Whether a page can be written, if one is asked for: it comes last, after all the work."""
    if page is None:
        return
    folder = os.path.dirname(os.path.abspath(page))
    if os.path.isdir(page):
        name = visible(page)
        raise ConfigurationError(f"--page: {name} is a folder; name a file in it, such as {name.rstrip('/')}/page.html")
    if not os.path.isdir(folder):
        raise ConfigurationError(f"--page: there is no folder {visible(folder)} to write the page into; make it first")


def is_local(source: str) -> bool:
    """Whether a source or a file is on this machine; not where none is named."""
    return source not in ("", "synthetic") and not source.startswith("tfds:") and "://" not in source


def _require_folder(key: str, option: str, source: str) -> None:
    folder, name = os.path.expanduser(source), visible(source)
    if not os.path.exists(folder):
        raise ConfigurationError(f"{key}: there is no folder {name}; check the path given with {option}" + _exists_until(folder))
    if not os.path.isdir(folder):
        kind = pathlib.PurePath(folder).suffix.lower()
        what = ("unpack it, and name the folder" if kind in (".zip", ".tar", ".tgz", ".gz", ".7z") else
                "name the folder of its photographs, and this file with --labels" if kind in (".csv", ".json") else
                "name the folder that it is in")  # fmt: skip
        raise ConfigurationError(f"{key}: {name} is a file, and {option} takes a folder; {what}")
    try:
        empty = not any(not one.name.startswith(".") for one in os.scandir(folder))
    except OSError as error:
        raise ConfigurationError(f"{key}: {name} cannot be read ({error.strerror}); change its permissions") from error
    if empty:
        raise ConfigurationError(f"{key}: the folder {name} is empty; expected photographs in it, such as one folder for each class")


def require_a_batch(config: Config) -> None:
    """Whether there can be as many photographs to learn from as one batch has, by the number of files.

    No more of them are counted than that takes. How many there are to the last one, DataGate knows: it depends on which photographs can
    be used and which show the same picture.
    """
    batch, data = config.pretrain.batch_size, config.data
    if data.source == "synthetic" and not data.unlabelled:
        most = _left_for_training(data.synthetic_images, data.eval_fraction)
    elif all(map(is_local, filter(None, (data.source, data.unlabelled)))):
        most = _most_to_learn_from(data, batch)
    else:
        return
    if most < batch:
        raise ConfigurationError(
            f"pretrain.batch_size is {batch}, but {visible(data.source)} has at most {most:,} photographs to learn from, by its files and "
            f"with data.eval_fraction={data.eval_fraction:g} held out; add photographs, or lower it, such as --set "
            f"pretrain.batch_size={max(2, most // 4)}"
        )


def _most_to_learn_from(data: Data, enough: int) -> int:
    """How many photographs for training there can be in folders, but not many more than `enough`."""
    found = sum(1 for _ in itertools.islice(_files_below(data.unlabelled), enough)) if data.unlabelled else 0
    entries = list(os.scandir(data.source))
    # Where the folder is divided already, or a file has the labels, nobody knows here how many photographs eval has.
    divides = not data.labels and not any(names.split_of(entry.name) for entry in entries)
    share = data.eval_fraction if divides else 0
    for entry in entries:
        if found >= enough:
            break
        if not entry.is_dir() or entry.is_symlink():
            found += enough if entry.is_symlink() else 1
            continue
        count = sum(1 for _ in itertools.islice(_files_below(entry.path), int((enough - found) / (1 - share)) + 2))
        found += count if names.is_unlabelled(entry.name) or not divides else _left_for_training(count, share)
    return found


def _left_for_training(photographs: int, eval_fraction: float) -> int:
    """Most of a class that can be left for training, as its share is held out, and one photograph at least."""
    return max(0, photographs - max(1, round(eval_fraction * photographs)))


def _files_below(folder: str) -> Iterator[str]:
    """The files below a folder; one behind a link to a folder counts without end, as nobody knows here how many they are."""
    for path, folders, files in os.walk(folder):
        if any(os.path.islink(os.path.join(path, name)) for name in folders):
            yield from itertools.repeat(path)
        yield from files


def _exists_until(path: str) -> str:
    """Which part of a path exists, where that tells where it was mistyped, and what there is called nearly like the next part."""
    missing = pathlib.Path(os.path.abspath(path))
    while not missing.parent.is_dir():
        missing = missing.parent
    try:
        folders = {one.name.lower(): one.path for one in os.scandir(missing.parent) if one.is_dir()}
    except OSError:
        folders = {}
    nearest = difflib.get_close_matches(missing.name.lower(), folders, n=1)
    if nearest:
        return f"; did you mean {visible(folders[nearest[0]])}?"
    return f" ({visible(str(missing.parent))} exists)" if missing.parent != missing.parent.parent else ""


def require_signing_key(layout: Layout, setting: str) -> None:
    """Whether the key that would sign a version can be used; `setting` is registry.signing_key. One in a bucket is read when it signs."""
    if "://" in setting:
        return
    try:
        keys.require_usable(str(layout.keys), setting)
    except RegistryError as error:
        raise ConfigurationError(str(error)) from error


def require_writable(layout: Layout) -> None:
    """Whether a run can write below DIR, or make it."""
    try:
        folder, _ = write_below(layout)
    except OSError as error:
        raise ConfigurationError(not_writable(error)) from error
    for one in (layout.root / "runs", layout.lock, layout.metadata, layout.artifacts, layout.registry):
        # A container that ran as root leaves such a DIR.
        if folder == layout.root and one.exists() and not os.access(one, os.W_OK):
            raise ConfigurationError(not_writable(OSError(errno.EACCES, os.strerror(errno.EACCES), str(one))))


def write_below(layout: Layout) -> tuple[pathlib.Path, float]:
    """Writes a file into DIR, or into the folder in which it would be made, and removes it.

    Returns:
      That folder, and the time that its file system gave the file.

    Raises:
      OSError: it cannot be written to; `filename` is the folder.
    """
    folder = layout.root
    while not os.path.lexists(folder):
        folder = folder.parent
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".flowers-") as file:
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
            return folder, os.stat(file.name).st_mtime
    except OSError as error:
        error.filename = str(folder)
        raise


# What the user can change when something cannot be written: no permission, a read-only file system, a file in place of a folder.
REFUSED_BY_SYSTEM = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


def not_writable(error: OSError) -> str:
    """One line about an error whose number is one of REFUSED_BY_SYSTEM: what cannot be written, why, and what to do."""
    where = visible(os.fspath(error.filename)) if error.filename else "a file"
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return (f"{where} cannot be written to: a file is where a folder must be; choose another place with --root or -o, or move "
                "that file away")  # fmt: skip
    if error.errno in NUMBERS:
        return f"{where} cannot be written to: {error.strerror}; make room there, or choose another place with --root or -o"
    return (f"{where} cannot be written to: {error.strerror}; choose another place with --root or -o, or make this one writable "
            "(`ls -ld` shows whose it is)")  # fmt: skip


def require_gpu_driver(config: Config, environment: Mapping[str, str]) -> None:
    """Whether the GPUs that the settings ask for can be there at all. (Whether TensorFlow sees them, only TensorFlow knows.)"""
    wanted = config.pretrain.min_gpus
    if not wanted or config.pretrain.allow_cpu:
        return
    hidden = next((name for name in HIDING if environment.get(name, "all").strip() in ("", "-1")), None)
    if hidden:
        raise ConfigurationError(too_few_gpus(wanted, f"{hidden}={environment[hidden]} hides all"))
    if not any(map(os.path.exists, GPU_DRIVERS)):
        raise ConfigurationError(too_few_gpus(wanted, "this machine has no driver of one"))


def too_few_gpus(wanted: int, why: str) -> str:
    """One line about GPUs that are missing; `why` is half a sentence."""
    return (f"pretrain.min_gpus is {wanted}, but no GPU can be used: {why}; see docs/gpu.md, take --preset cpu, or add "
            "--allow-cpu to train on the processor all the same")  # fmt: skip


def require_engine(endpoint: str, pool: str) -> None:
    """Whether --beam-endpoint and --beam-workers can be what they should be: HOST:PORT, the second one only with the first."""
    require(not endpoint or is_address(endpoint), "--beam-endpoint", "HOST:PORT of a job server, such as localhost:8099", visible(endpoint))
    require(not pool or is_address(pool), "--beam-workers", "HOST:PORT of a pool of workers, such as localhost:50000", visible(pool))
    require(not pool or bool(endpoint), "--beam-workers", "given with --beam-endpoint, whose engine asks it for workers", pool)


def require_job_server(endpoint: str) -> None:
    """Whether a job server of Beam's listens at `endpoint`, HOST:PORT, if there is one."""
    if not endpoint:
        return
    host, _, port = endpoint.rpartition(":")
    name = f"--beam-endpoint {visible(endpoint)}"
    to_do = ("start one, for example `python -m apache_beam.runners.portability.local_job_service_main --port PORT`, or leave "
             "--beam-endpoint out (docs/scale.md)")  # fmt: skip
    try:
        connection = socket.create_connection((host.strip("[]"), int(port)), JOB_SERVER_SECONDS)
    except OSError as error:
        raise ConfigurationError(f"{name}: no job server can be reached there ({error.strerror or error}); {to_do}") from error
    with connection:
        try:
            connection.sendall(HTTP_2_PREFACE + SETTINGS_FRAME)
            answer = connection.recv(len(SETTINGS_FRAME))
        except OSError:  # no answer in time, or the connection was closed
            answer = b""
    if answer[3:4] != SETTINGS_FRAME[3:4]:
        raise ConfigurationError(f"{name}: what listens there is no job server, which would answer by gRPC; {to_do}")


def is_address(text: str) -> bool:
    """Whether a text is HOST:PORT."""
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port) < 65536


def require_start(start: str) -> None:
    """Whether the file is there that pre-training is to start from; what is in it is read later."""
    if start.endswith(KERAS_FILE) and not os.path.isfile(start):
        raise ConfigurationError(f"pretrain.start: there is no file {start!r}")


def require_alternation(every: int, start: str, schedule: str | None) -> None:
    """Whether --from-scratch-every is given for the runs of a schedule with --warm-start only."""
    if every and (version_of(start) is None or schedule is None):
        raise ConfigurationError("--from-scratch-every counts only for a schedule with --warm-start; add both, or leave it out")
    if every < 0 or every == 1:
        raise ConfigurationError(f"--from-scratch-every must be 2 or more, got {every}; without --warm-start every run starts from scratch")


def require_agreement(options: Mapping[str, str | None], overrides: Iterable[str]) -> None:
    """Whether no setting is given by its own option and by --set with another value.

    Args:
      options: option and value by setting, None where the option was not given.
      overrides: KEY=VALUE of --set.
    """
    for key, _, value in (one.partition("=") for one in overrides):
        given = options.get(key.strip())
        if given is not None and given != value.strip():
            raise ConfigurationError(
                f"{key.strip()} is given twice, as {given!r} by its option and as {value.strip()!r} by --set; leave out one"
            )
