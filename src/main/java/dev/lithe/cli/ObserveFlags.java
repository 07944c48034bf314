package dev.lithe.cli;

import dev.lithe.serve.ObserveOptions;
import picocli.CommandLine.Option;

/// What a server tells of itself: options that all serving commands share.
final class ObserveFlags {
    private enum LogFormat {
        TEXT,
        JSON
    }

    @Option(
            names = "--log-format",
            paramLabel = "text|json",
            defaultValue = "text",
            description =
                    "json: lines of JSON, with the phases of the start and one line per request,"
                            + " without its text. Default: warnings as text.")
    private LogFormat format = LogFormat.TEXT;

    @Option(
            names = "--traces",
            paramLabel = "URL",
            defaultValue = "${env:LITHE_TRACES:-}",
            description =
                    "Send a span per generation to an OpenTelemetry collector (OTLP over gRPC),"
                            + " such as http://127.0.0.1:4317; also the variable LITHE_TRACES.")
    private String traces = "";

    ObserveOptions options() {
        return ObserveOptions.of(format == LogFormat.JSON, traces);
    }
}
