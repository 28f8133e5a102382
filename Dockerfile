# The image of all of tagdesk's own processes: API, workers, keeper, command line. Triton has a container of its
# own (docker-compose.gpu.yml), so the server that the local stack embeds stays out. How to build: docs/gpu.md
ARG PYTHON=python:3.11.14-slim-bookworm

FROM ${PYTHON} AS builder
WORKDIR /app
RUN python -m venv /opt/venv
COPY requirements.lock ./
# Entries are taken out whole, with the lines of hashes below them.
RUN awk '/^[^ ]/ { keep = !/^(nvidia-pytriton|uv)==/ } keep' requirements.lock > container.lock
# The optional secret names a package index of one's own without leaving it in a layer.
RUN --mount=type=secret,id=pip-configuration,target=/etc/pip.conf \
    /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check \
    --require-hashes --only-binary=:all: -r container.lock
COPY pyproject.toml README.md LICENSE ./
COPY orchestrator orchestrator
COPY mapping_tools mapping_tools
# Editable, as the code finds migrations and models beside itself.
RUN /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-index --no-deps \
    --no-build-isolation --editable . \
    && /opt/venv/bin/pip uninstall --yes setuptools pip

FROM ${PYTHON}
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ORT_DISABLE_TELEMETRY=1
# Volumes that are mounted here first take their owner from these folders.
RUN groupadd --gid 10001 tagdesk \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin tagdesk \
    && install -d -o tagdesk -g tagdesk /var/lib/tagdesk/models /var/lib/tagdesk/blobs
WORKDIR /app
COPY --from=builder /opt/venv /opt/venv
COPY LICENSE ./
COPY migrations migrations
COPY model_repository model_repository
COPY mapping_tools mapping_tools
COPY orchestrator orchestrator
RUN python -m compileall -q orchestrator mapping_tools migrations
USER 10001:10001
CMD ["tagdesk", "--help"]
