# syntax=docker/dockerfile:1
FROM rust:1.95-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake libssl-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
# The dependencies in a layer of their own: it is rebuilt only when a manifest changes.
COPY Cargo.toml Cargo.lock build.rs ./
COPY .cargo .cargo
RUN mkdir src && echo 'fn main() {}' > src/main.rs && touch src/lib.rs \
    && cargo build --release --locked \
    && rm -r src
COPY migrations migrations
COPY .sqlx .sqlx
COPY openapi openapi
COPY src src
# The stub is younger than the sources may be, and Cargo goes by time. What tells line numbers is three quarters of the binary;
# the names of functions stay in a backtrace.
RUN touch src/main.rs src/lib.rs && cargo build --release --locked && strip --strip-debug target/release/sensorcast

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libssl3 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 sensorcast \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin sensorcast \
    && install -d -o sensorcast -g sensorcast /data
COPY --from=build /build/target/release/sensorcast /usr/local/bin/sensorcast
# By number: Kubernetes cannot tell from a name that it is not root (runAsNonRoot).
USER 10001:10001
WORKDIR /data
VOLUME /data
ENV HTTP_BIND=0.0.0.0:8000 \
    DATABASE_URL=sqlite:///data/sensorcast.db
# With the built-in broker, add MQTT_BIND=0.0.0.0:1883 and publish 1883: anyone who reaches it can subscribe.
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["sensorcast", "health"]
ENTRYPOINT ["sensorcast"]
CMD ["serve"]
