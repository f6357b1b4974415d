# One image for every task of the pipeline, on this machine or on Vertex AI; `make image` builds it (docs/image.md).
#
# The packages are the same pinned, hash-checked lists as in a local set-up. Debian trixie's glibc needs no
# environment/glibc_backport.py. The project is in a layer of its own, so that a change of its code rebuilds only a small one.

# debian:13.6-slim, of 24 August 2026. Another one: `make image BASE=docker.io/library/debian@sha256:...`
ARG BASE=docker.io/library/debian:trixie-slim@sha256:d7e12182ce18b85b93007c1dedf31f2d29e01ccf3182cc4017c709b6259bc132

# The packages, with the tools that install them.
FROM ${BASE} AS packages
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates g++ python3 python3-dev python3-venv
# Only for a network with its own certificate authority: where its bundle is mounted during the build. It is never copied.
ARG PIP_CERT
ARG SSL_CERT_FILE
ARG ACCELERATOR=cpu
WORKDIR /opt/flowers
COPY requirements/ requirements/
RUN case "${ACCELERATOR}" in cpu) list=runtime ;; gpu) list=gpu ;; \
        *) echo "ACCELERATOR must be cpu or gpu, got '${ACCELERATOR}'" >&2; exit 1 ;; esac \
    && python3 -m venv .venv \
    && .venv/bin/python -m pip install --quiet --no-cache-dir --require-hashes --only-binary :all: -r requirements/tools.txt \
    && .venv/bin/uv pip sync --quiet --no-cache --python .venv/bin/python --require-hashes --no-build-isolation \
        requirements/${list}.txt

# The project, as the files that its installation adds to the packages.
FROM packages AS project
COPY pyproject.toml README.md LICENSE pipeline_config.py ./
COPY cli/ cli/
COPY pipeline/ pipeline/
COPY inference/ inference/
COPY components/ components/
COPY registry/ registry/
COPY vertex/ vertex/
COPY trainer/ trainer/
COPY contracts/ contracts/
RUN .venv/bin/python -m pip install --quiet --no-cache-dir --no-index --no-deps --no-build-isolation \
        --no-warn-script-location --root /project .

# The packages as they run: without installers, and without TensorFlow's headers (430 MB), which only compilers read. Byte code,
# except that of tests, is compiled now, as the image's user cannot write here; a few templates that are not valid Python fail.
FROM packages AS trimmed
RUN .venv/bin/python -m pip uninstall --quiet --yes uv pip \
    && rm -r .venv/lib/python3*/site-packages/tensorflow/include \
    && { .venv/bin/python -m compileall -q -j 0 -x '/tests?/' .venv/lib >/dev/null 2>&1 || true; }

# Any user can enter the home: `docker run --user` starts in it.
FROM ${BASE}
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log \
    && useradd --create-home --uid 10001 --key HOME_MODE=0755 flowers
COPY --from=trimmed /opt/flowers/.venv /opt/flowers/.venv
COPY --from=project /project /
# From KERAS_BACKEND on, the values of contracts/libraries.py. The last three are for GPUs: where Google's machines have the driver, and requests to NVIDIA's container toolkit.
ENV PATH=/opt/flowers/.venv/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    KERAS_BACKEND=tensorflow \
    KERAS_HOME=/dev/null \
    TF_USE_LEGACY_KERAS=0 \
    TF_ENABLE_ONEDNN_OPTS=1 \
    TF_CPP_MIN_LOG_LEVEL=2 \
    MLFLOW_DISABLE_TELEMETRY=true \
    ARROW_DEFAULT_MEMORY_POOL=system \
    LD_LIBRARY_PATH=/usr/local/nvidia/lib64 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
ARG VERSION=unknown
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="flowers" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.licenses="Apache-2.0"
# By number, so that a cluster can check that it is not root.
USER 10001
WORKDIR /home/flowers
ENTRYPOINT ["flowers"]
CMD ["--help"]
