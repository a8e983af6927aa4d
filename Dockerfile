# One binary in a small image. Build: docker build -t execution-processor .
# Run:   docker run -v ./config.yaml:/etc/execution-processor/config.yaml:ro -v state:/var/lib/execution-processor execution-processor
# Spill and evidence go to the working directory, /var/lib/execution-processor: keep it on a volume.

FROM denoland/deno:2.9.6 AS build
WORKDIR /src
COPY deno.json deno.lock main.ts ./
COPY src ./src
COPY wasm ./wasm
COPY tools ./tools
RUN deno task compile /out/execution-processor \
      --no-prompt \
      --allow-read \
      --allow-write=/var/lib/execution-processor \
      --allow-net \
      --allow-env \
      --allow-sys=hostname

FROM debian:12-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/execution-processor --create-home processor \
 && mkdir -p /etc/execution-processor
COPY --from=build /out/execution-processor /usr/local/bin/execution-processor
USER processor
WORKDIR /var/lib/execution-processor
VOLUME /var/lib/execution-processor
# SIGTERM drains: what is in hand is finished and flushed, the rest is spilled. Give it more time than work.drain and
# sink.drain together (docker stop --time 60).
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/execution-processor"]
CMD ["start", "--config", "/etc/execution-processor/config.yaml"]
