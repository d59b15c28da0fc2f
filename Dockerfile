# autolora as make dist packs it, on Debian: no compiler, no headers, no Python. scripts/dist_files.txt lists what is in it.
#
#   make image                 # packs the archive, and makes autolora:cuda; DEVICE=cpu leaves CUDA out
#   docker run --rm --gpus all -v "$PWD:/work" -v autolora-cache:/cache autolora:cuda info
#
# The base image is pinned by its exact tag; to pin its bytes too, add the digest that `docker buildx imagetools inspect
# debian:12.15-slim` prints: --build-arg BASE_IMAGE=debian:12.15-slim@sha256:…
ARG BASE_IMAGE=debian:12.15-slim

FROM ${BASE_IMAGE} AS unpacked
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# Nothing that is installed here is in the final image but the certificates: what is fetched from the hub comes over TLS.
# hadolint ignore=DL3008
RUN apt-get update; \
    apt-get install -y --no-install-recommends ca-certificates zstd; \
    rm -rf /var/lib/apt/lists/*
ARG ARCHIVE
COPY dist/${ARCHIVE} /archive.tar.zst
# What is large and the same in every version, NVIDIA's libraries and libtorch's, gets a layer of its own.
RUN mkdir -p /archive /libraries; \
    tar -C /archive --strip-components 1 --zstd -xf /archive.tar.zst; \
    mv /archive/lib/lib[!a]* /libraries/

FROM ${BASE_IMAGE}
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
RUN groupadd --gid 1000 autolora; \
    useradd --uid 1000 --gid 1000 --home-dir /work --no-create-home autolora; \
    mkdir -m 1777 /cache /work; \
    echo /opt/autolora/lib >/etc/ld.so.conf.d/autolora.conf
COPY --from=unpacked /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=unpacked /libraries /opt/autolora/lib
COPY --from=unpacked /archive /opt/autolora
ENV PATH=/opt/autolora/bin:$PATH \
    XDG_CACHE_HOME=/cache \
    HF_HOME=/cache/huggingface \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
ARG DEVICE=cuda
# NVRTC and cuDNN open libraries by bare names, which only the system's list of libraries finds. The program starts, and
# opens libtorch_cuda.so, or there is no image.
RUN ldconfig; \
    autolora info; \
    if [ "$DEVICE" = cuda ]; then autolora info | grep -Eq "^(CUDA +no device|cuda:0 )"; fi

ARG VERSION=unknown
LABEL org.opencontainers.image.title="autolora" \
      org.opencontainers.image.description="the smallest LoRA adapter that does the job, with proof (AutoLoRA, arXiv:2403.09113)" \
      org.opencontainers.image.version="${VERSION}"
USER 1000:1000
WORKDIR /work
VOLUME ["/work", "/cache"]
ENTRYPOINT ["autolora"]
CMD ["--help"]
