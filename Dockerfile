# The same install as `make`.
FROM python:3.11-slim-bookworm
RUN apt-get update && apt-get install -y --no-install-recommends gcc g++ make && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY install.sh pyproject.toml requirements.lock README.md LICENSE ./
COPY flows flows
COPY tasks tasks
COPY models models
COPY weights weights
RUN ./install.sh && useradd --create-home remix && mkdir /data && chown remix /data
USER remix
ENV PATH=/app/.venv/bin:$PATH REMIX_HOME=/data DO_NOT_TRACK=1 PREFECT_SERVER_ANALYTICS_ENABLED=false
ENTRYPOINT ["remix"]
CMD ["--help"]
