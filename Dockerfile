# Build:  docker build -t licsync-daemon .
# Daemon: docker run -d --name licsync -v licsync-state:/var/lib/licsync -v ./config.toml:/etc/licsync/config.toml:ro \
#           -v ./secrets:/run/secrets:ro licsync-daemon
# Sync:   docker run --rm (the same volumes) licsync-daemon --run-now
ARG BASE=docker.io/library/python:3.13-slim-trixie

FROM ${BASE} AS build
WORKDIR /src
COPY requirements.lock requirements-build.lock ./
# Hashes pin every installed package. To use your own package index, set the build argument PIP_INDEX_URL.
ARG PIP_INDEX_URL
RUN python3 -m venv /opt/licsync && /opt/licsync/bin/python -m pip install --no-cache-dir --require-hashes -r requirements.lock
RUN python3 -m venv /build && /build/bin/python -m pip install --no-cache-dir --require-hashes -r requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY config ./config
COPY licsync_daemon ./licsync_daemon
RUN /build/bin/python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /dist . \
 && /opt/licsync/bin/python -m pip install --no-cache-dir --no-deps /dist/*.whl

FROM ${BASE}
# Required by the source `ssh`.
RUN apt-get update && apt-get install -y --no-install-recommends openssh-client && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/licsync /opt/licsync
RUN groupadd --system --gid 65532 licsync \
 && useradd --system --uid 65532 --gid 65532 --home-dir /var/lib/licsync --no-create-home --shell /usr/sbin/nologin licsync \
 && install -d -m 0700 -o licsync -g licsync /var/lib/licsync \
 && install -d -m 0755 /etc/licsync
ENV PATH=/opt/licsync/bin:$PATH PYTHONUNBUFFERED=1
USER 65532:65532
VOLUME /var/lib/licsync
# The daemon updates its heartbeat every 30 s; the check needs no port and no shell.
HEALTHCHECK --interval=60s --timeout=10s --start-period=30s CMD ["/opt/licsync/bin/licsync-daemon", "status", "--alive"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/opt/licsync/bin/licsync-daemon"]
