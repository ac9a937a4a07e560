# The server (docs/server.md): one binary that runs without root, writes to no file, and checks its own health.
FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p server && cp target/release/server /server

# The same distribution as above: the binary needs its C library and nothing else. Roots of TLS are in it.
FROM debian:bookworm-slim
COPY --from=build /server /usr/local/bin/server
USER 65532:65532
ENV HOST=0.0.0.0 PORT=9000
EXPOSE 9000
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["/usr/local/bin/server", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/server"]
