# The server (docs/server.md): one static program in an empty file system, without root. It writes no file,
# except with EMBEDDED_DATA=/var/lib/weapp, and checks its own health.
FROM rust:1-bookworm AS build
# The newest of the distribution: what is in the image is the program alone.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends musl-tools \
 && rm -rf /var/lib/apt/lists/* \
 && rustup target add "$(uname -m)-unknown-linux-musl"
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p server --target "$(uname -m)-unknown-linux-musl" \
 && cp "target/$(uname -m)-unknown-linux-musl/release/server" /server \
 && mkdir /data

# Nothing to update: the roots of TLS are in the program, the time zone is UTC.
FROM scratch
COPY --from=build /server /usr/local/bin/server
# A volume here belongs to the user below, too.
COPY --from=build --chown=65532:65532 /data /var/lib/weapp
USER 65532:65532
ENV HOST=0.0.0.0 PORT=9000 METRICS_HOST=0.0.0.0 SQLITE_TMPDIR=/var/lib/weapp
EXPOSE 9000
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["/usr/local/bin/server", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/server"]
