# The image of core with its plugins, for those who have a container engine (BuildKit or buildah); `make runner-image` makes
# the same one without. A test in tools/image compares the two.
#
#   docker build -f deploy/runner.Dockerfile --build-arg VERSION=$(git describe --tags --always) \
#     --build-arg HELPER_IMAGE=localhost/runner-helper:dev -t localhost/runner:dev .

FROM --platform=$BUILDPLATFORM golang:1.26 AS build
ARG TARGETOS TARGETARCH VERSION=dev HELPER_IMAGE=localhost/runner-helper:dev
WORKDIR /src
COPY sdk sdk
COPY core core
COPY plugins plugins
COPY tools tools
RUN GOWORK=off go run -C tools ./cacerts >/ca-certificates.crt
# The sticky bit and the rest of a folder's mode are kept when it is copied with the folder that it is in.
RUN install -d -m 1777 /out/rootfs/tmp
RUN GOWORK=off CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -C core -trimpath -buildvcs=false \
    -ldflags "-s -w -X github.com/podrunner/runner/core/internal/version.version=$VERSION \
    -X github.com/podrunner/runner/core/internal/config.DefaultHelperImage=$HELPER_IMAGE" -o /out/core .
RUN GOWORK=off CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -C plugins/processor-outcome -trimpath -buildvcs=false \
    -ldflags "-s -w -X main.version=$VERSION" -o /out/runner-processor-outcome .
RUN GOWORK=off CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -C plugins/processor-prefix -trimpath -buildvcs=false \
    -ldflags "-s -w -X main.version=$VERSION" -o /out/runner-processor-prefix .
RUN GOWORK=off CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -C plugins/processor-sanitize -trimpath -buildvcs=false \
    -ldflags "-s -w -X main.version=$VERSION" -o /out/runner-processor-sanitize .
RUN GOWORK=off CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -C plugins/source-faktory -trimpath -buildvcs=false \
    -ldflags "-s -w -X main.version=$VERSION" -o /out/runner-source-faktory .
RUN GOWORK=off CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -C plugins/source-opslevel -trimpath -buildvcs=false \
    -ldflags "-s -w -X main.version=$VERSION" -o /out/runner-source-opslevel .

FROM scratch
ARG VERSION=dev
LABEL org.opencontainers.image.title="runner" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.source="https://github.com/podrunner/runner" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /out/rootfs/ /
COPY --chmod=0644 tools/image/rootfs/etc/group tools/image/rootfs/etc/passwd /etc/
COPY --chmod=0644 --from=build /ca-certificates.crt /etc/ssl/certs/
COPY --chmod=0755 --from=build /out/core /core
COPY --chmod=0755 --from=build /out/runner-processor-outcome \
     /out/runner-processor-prefix \
     /out/runner-processor-sanitize \
     /out/runner-source-faktory \
     /out/runner-source-opslevel \
     /plugins/
COPY --chmod=0644 runner.hcl /runner.hcl
WORKDIR /
USER 65532:65532
ENTRYPOINT ["/core"]
CMD ["run"]
