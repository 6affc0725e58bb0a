# librdkafka comes with its Go module, for glibc: the only C needed is libc, so
# the build and the image are of the same Debian.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=1 go build -trimpath -ldflags="-s -w" -o /gateway ./cmd/gateway

FROM debian:bookworm-slim
# Certificates of public authorities, for brokers and token endpoints that use
# them.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/sluice --create-home sluice
COPY --from=build /gateway /usr/local/bin/gateway
USER 10001
# Where the embedded broker's ./data lies: mount a volume here to keep it.
WORKDIR /var/lib/sluice
EXPOSE 8080
ENTRYPOINT ["gateway"]
