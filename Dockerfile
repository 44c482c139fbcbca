# Wheels only: nothing is compiled, so the image runs on any processor of its platform.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY pipelines pipelines
RUN python -m venv /opt/insaat \
 && /opt/insaat/bin/pip install --no-cache-dir .

FROM python:3.13-slim
COPY --from=build /opt/insaat /opt/insaat
RUN useradd --create-home --uid 10001 insaat && mkdir /data && chown insaat /data
ENV PATH=/opt/insaat/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    NUMBA_CACHE_DIR=/home/insaat/.cache/numba
USER insaat
WORKDIR /data
# docker run --rm -v "$PWD:/data" insaat reconstruct photos -o model
ENTRYPOINT ["insaat"]
CMD ["--help"]
