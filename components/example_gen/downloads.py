"""Whether the hosts that a data set of TensorFlow Datasets comes from can be reached: asked once, with a limit.

TFDS itself tries a host that does not answer eleven times, with growing pauses and no limit for one attempt: 215 s without a word.
"""

import time
import urllib.error
import urllib.request

from tensorflow_datasets.core.download import resource

SECONDS = 10  # for one attempt: far more than any host takes that answers at all
ATTEMPTS = 2  # as a single request can be lost
PAUSE_SECONDS = 1


def unreachable(builder, seconds: float = SECONDS) -> str:
    """One line about a host of which a file is needed and that cannot be reached; "" if there is none.

    Args:
      builder: a TFDS builder that is not prepared; files that were downloaded before are not needed.
      seconds: for one attempt.
    """
    addresses = {}
    for url, info in (builder.url_infos or {}).items():
        if url.startswith("http") and not _is_here(builder, url, info):
            addresses.setdefault(url.split("/")[2], url)
    for host, url in addresses.items():
        if error := _error(url, seconds):
            return f"{host} cannot be reached ({error})"
    return ""


def _is_here(builder, url: str, info) -> bool:
    folder = builder.data_dir_root / "downloads"
    return any((folder / resource.get_dl_fname(url, checksum)).exists() for checksum in (info.checksum, None))


def _error(url: str, seconds: float) -> str:
    """Why nobody answered; "" if somebody did."""
    error = ""
    for attempt in range(ATTEMPTS):
        time.sleep(PAUSE_SECONDS * (attempt > 0))
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=seconds).close()
        except urllib.error.HTTPError:
            return ""  # an error status is an answer too: whether the file is there, TFDS finds out
        except OSError as caught:
            error = str(getattr(caught, "reason", caught)) or type(caught).__name__
        else:
            return ""
    return error
