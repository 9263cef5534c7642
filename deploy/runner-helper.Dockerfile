# The image of runner-helper, for those who have a container engine (BuildKit or buildah); `make helper-image` makes the same
# one without. A test in tools/image compares the two.
#
#   docker build -f deploy/runner-helper.Dockerfile --build-arg VERSION=$(git describe --tags --always) \
#     -t localhost/runner-helper:dev .

FROM --platform=$BUILDPLATFORM golang:1.26 AS build
ARG TARGETOS TARGETARCH VERSION=dev
WORKDIR /src
COPY sdk sdk
COPY core core
COPY plugins/source-faktory plugins/source-faktory
RUN GOWORK=off CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -C core -trimpath -buildvcs=false -tags grpcnotrace \
    -ldflags "-s -w -X main.version=$VERSION" -o /out/runner-helper ./helper
RUN GOWORK=off CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -C plugins/source-faktory -trimpath -buildvcs=false \
    -ldflags "-s -w -X main.version=$VERSION" -o /out/runner-source-faktory .

FROM scratch
ARG VERSION=dev
LABEL org.opencontainers.image.title="runner-helper" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.source="https://github.com/podrunner/runner" \
      org.opencontainers.image.licenses="MIT"
COPY --chmod=0644 tools/image/rootfs/etc/group tools/image/rootfs/etc/passwd /etc/
COPY --chmod=0755 --from=build /out/runner-helper /runner-helper
COPY --chmod=0755 --from=build /out/runner-source-faktory /tools/
WORKDIR /
USER 65532:65532
ENTRYPOINT ["/runner-helper"]
