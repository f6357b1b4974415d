# One image for every task of the pipeline, on this machine or on Vertex AI.
#
#   docker build -t flowers .                                        CPU
#   docker build -t flowers:gpu --build-arg ACCELERATOR=gpu .        with TensorFlow's CUDA libraries
#   docker run flowers run --preset quick --root /tmp/runs
#
# BASE takes a digest (docker.io/library/debian@sha256:...) where a build has to be repeatable to the byte. The packages are
# the same pinned, hash-checked lists as in a local set-up. Debian trixie's glibc needs no environment/glibc_backport.py.

ARG BASE=docker.io/library/debian:trixie-slim

FROM ${BASE} AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates g++ python3 python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*
# Only for a network with a certificate authority of its own: its bundle, mounted into the build and never copied.
ARG PIP_CERT
ARG SSL_CERT_FILE
ARG ACCELERATOR=cpu
WORKDIR /opt/flowers
COPY requirements/ requirements/
RUN case "${ACCELERATOR}" in cpu) list=runtime ;; gpu) list=gpu ;; \
        *) echo "ACCELERATOR must be cpu or gpu, got ${ACCELERATOR}" >&2; exit 1 ;; esac \
    && python3 -m venv .venv \
    && .venv/bin/python -m pip install --quiet --no-cache-dir --require-hashes --only-binary :all: -r requirements/tools.txt \
    && .venv/bin/uv pip sync --quiet --no-cache --python .venv/bin/python --require-hashes --no-build-isolation requirements/${list}.txt
COPY pyproject.toml README.md LICENSE pipeline_config.py ./
COPY pipeline/ pipeline/
COPY components/ components/
COPY trainer/ trainer/
COPY contracts/ contracts/
# Byte code is written here, for the user that runs it may not write into the installation; compileall's status is left
# aside, because some packages carry templates that are no valid Python. Installers are of no use later on.
RUN .venv/bin/python -m pip install --quiet --no-cache-dir --no-deps --no-build-isolation . \
    && { .venv/bin/python -m compileall -q -j 0 .venv/lib >/dev/null 2>&1 || true; } \
    && .venv/bin/python -m pip uninstall --quiet --yes uv pip

FROM ${BASE}
ARG VERSION=unknown
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="flowers" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 flowers
COPY --from=build /opt/flowers/.venv /opt/flowers/.venv
ENV PATH=/opt/flowers/.venv/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    TF_ENABLE_ONEDNN_OPTS=1 \
    TF_CPP_MIN_LOG_LEVEL=2 \
    MLFLOW_DISABLE_TELEMETRY=true
USER flowers
WORKDIR /home/flowers
ENTRYPOINT ["flowers"]
CMD ["--help"]
