# Wheels only: nothing is compiled, so the image runs on any processor of its platform.
#
#   docker build -t insaat .                                  the embedded engine
#   docker build -t insaat:classic --target classic .         with OpenMVG and OpenMVS beside it
#   docker run --rm -v "$PWD:/data" insaat reconstruct photos -o model
#
# For both amd64 and arm64: docker buildx build --platform linux/amd64,linux/arm64 …

FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY pipelines pipelines
RUN python -m venv /opt/insaat \
 && /opt/insaat/bin/pip install --no-cache-dir '.[broker]'

FROM python:3.13-slim AS runtime
# pycolmap has no wheel for Linux on ARM; there Debian's colmap does its part.
# hadolint ignore=DL3008
RUN if [ "$(dpkg --print-architecture)" != amd64 ]; then \
      apt-get update \
   && apt-get install --yes --no-install-recommends colmap \
   && rm -rf /var/lib/apt/lists/*; \
    fi
RUN useradd --create-home --uid 10001 insaat \
 && mkdir /data \
 && chown insaat /data
COPY --from=build /opt/insaat /opt/insaat
ENV PATH=/opt/insaat/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    NUMBA_CACHE_DIR=/home/insaat/.cache/numba
USER 10001:10001
WORKDIR /data
ENTRYPOINT ["insaat"]
CMD ["--help"]

# OpenMVG and OpenMVS as the Nix project publishes them for both platforms, made for any processor.
# --max-jobs 0 takes what is published and compiles nothing.
FROM nixos/nix:2.28.3 AS programs
ARG NIXPKGS=github:NixOS/nixpkgs/nixos-25.05
RUN mkdir -p /export/nix/store /export/opt \
 && nix --extra-experimental-features "nix-command flakes" build --max-jobs 0 \
      --out-link /tmp/openmvg "$NIXPKGS#openmvg" \
 && nix --extra-experimental-features "nix-command flakes" build --max-jobs 0 \
      --out-link /tmp/openmvs "$NIXPKGS#openmvs" \
 && nix-store --query --requisites /tmp/openmvg /tmp/openmvs > /tmp/closure \
 && xargs -I '{}' cp -a '{}' /export/nix/store/ < /tmp/closure \
 && ln -s "$(readlink /tmp/openmvg)" /export/opt/openmvg \
 && ln -s "$(readlink /tmp/openmvs)" /export/opt/openmvs

FROM runtime AS classic
COPY --from=programs /export/ /
ENV INSAAT_OPENMVG_BIN=/opt/openmvg/bin \
    INSAAT_OPENMVS_BIN=/opt/openmvs/bin

# What is built without --target.
FROM runtime
