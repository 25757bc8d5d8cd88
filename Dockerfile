# One static binary and CA certificates. It runs as an unprivileged user on a read-only file system.
# BuildKit builds it for every platform that Go supports; the legacy builder only for the host's.
ARG GO_IMAGE=golang:1.26.8-bookworm@sha256:a688600ca24f8a4d3ca77f95b0dd40704a9fc787c826660eb7ba0b641b8b175d

# Compile on the host's platform, whatever the target. Only BuildKit sets BUILDPLATFORM.
FROM --platform=${BUILDPLATFORM:-linux} ${GO_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION
ARG TARGETOS
ARG TARGETARCH
ARG TARGETVARIANT
RUN GOOS=${TARGETOS:-linux} GOARCH=${TARGETARCH} GOARM=$([ "${TARGETARCH}" != arm ] || echo "${TARGETVARIANT#v}") \
      infra/release/compile.sh /image/entrepot
# Give every file the same date, so that the same source makes the same layer.
ARG SOURCE_DATE_EPOCH=0
RUN mkdir -p /image/etc/ssl/certs /image/home/nonroot/data \
 && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
 && echo 'nonroot:x:65532:65532::/home/nonroot:/sbin/nologin' >/image/etc/passwd \
 && echo 'nonroot:x:65532:' >/image/etc/group \
 && chown -R 65532:65532 /image/home/nonroot \
 && find /image -exec touch -d "@${SOURCE_DATE_EPOCH}" {} +

FROM scratch
COPY --from=build /image/ /
# The default store is a folder. Mount a volume there.
ENV ENTREPOT_STORE=file:/home/nonroot/data HOME=/home/nonroot
USER 65532:65532
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=6s --start-period=10s CMD ["/entrepot", "healthcheck"]
ENTRYPOINT ["/entrepot"]
CMD ["serve"]
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="entrepot" \
      org.opencontainers.image.description="A pull-through mirror for container registries that keeps its state in a bucket" \
      org.opencontainers.image.source="https://github.com/entrepot-io/entrepot" \
      org.opencontainers.image.documentation="https://github.com/entrepot-io/entrepot/tree/main/docs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
