# docker build --target cpu|cuda .   Both run the same install as `make`; what differs is the build of torch that pip takes.
FROM python:3.11-slim-bookworm AS base
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc g++ make \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home remix \
    && mkdir /data && chown remix /data
WORKDIR /app
COPY install.sh pyproject.toml requirements.lock README.md LICENSE prefect.yaml ./
COPY flows flows
COPY tasks tasks
COPY models models
COPY weights weights
ENV PATH=/app/.venv/bin:$PATH \
    REMIX_HOME=/data \
    HOME=/data \
    TMPDIR=/data \
    PYTHONDONTWRITEBYTECODE=1 \
    DO_NOT_TRACK=1 \
    PREFECT_SERVER_ANALYTICS_ENABLED=false
ENTRYPOINT ["remix"]
CMD ["--help"]

FROM base AS cuda
RUN ./install.sh
USER 10001
LABEL remix.device=cuda

# --build-arg TORCH_INDEX=URL names PyTorch's index of CPU builds; without it pip takes the CUDA build, which runs on a
# CPU too and is several GB larger.
FROM base AS cpu
ARG TORCH_INDEX=
RUN PIP_EXTRA_INDEX_URL=$TORCH_INDEX ./install.sh
USER 10001
LABEL remix.device=cpu
