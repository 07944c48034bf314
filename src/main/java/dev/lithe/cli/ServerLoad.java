package dev.lithe.cli;

import dev.lithe.engine.EngineLimits;
import dev.lithe.fault.LitheException;
import java.time.Duration;
import picocli.CommandLine.Option;

/// What a serving command takes on at once: options that all of them share.
final class ServerLoad {
    private static final int DRAIN_SECONDS = 30;
    private static final int MOST_DRAIN_SECONDS = 86_400;

    @Option(
            names = "--max-waiting",
            paramLabel = "N",
            description = "Requests that wait; more are refused. Default: 256.")
    private int waiting = EngineLimits.DEFAULT.queue();

    @Option(
            names = "--max-running",
            paramLabel = "N",
            description = "Requests of each variant that are computed together. Default: 32.")
    private int running = EngineLimits.DEFAULT.running();

    @Option(
            names = "--cache-memory",
            paramLabel = "MB",
            description =
                    "Memory for the keys and values of all requests."
                            + " Default: a quarter of the machine's.")
    private long cacheMegabytes = EngineLimits.DEFAULT.cacheBytes() >> 20;

    @Option(
            names = "--prefill-chunk",
            paramLabel = "TOKENS",
            description =
                    "Most tokens of prompts that are read at once. Default: measured, so that others"
                            + " wait for one or two decode steps.")
    private int prefillChunk;

    @Option(
            names = "--drain-seconds",
            paramLabel = "N",
            description =
                    "How long requests may go on once the server is told to stop;"
                            + " a second signal ends it at once. Default: 30.")
    private int drainSeconds = DRAIN_SECONDS;

    EngineLimits limits() {
        if (cacheMegabytes < 1 || cacheMegabytes > Long.MAX_VALUE >> 20) {
            throw LitheException.badInput(
                    "--cache-memory %d; use 1 or more megabytes", cacheMegabytes);
        }
        requirePositive("--max-running", running);
        requirePositive("--max-waiting", waiting);
        return new EngineLimits(
                        waiting, running, cacheMegabytes << 20, EngineLimits.DEFAULT.stall())
                .withPrefillChunk(prefillChunk);
    }

    private static void requirePositive(String option, int value) {
        if (value < 1) {
            throw LitheException.badInput("%s %d; use 1 or more", option, value);
        }
    }

    Duration drain() {
        if (drainSeconds < 0 || drainSeconds > MOST_DRAIN_SECONDS) {
            throw LitheException.badInput(
                    "--drain-seconds %d; use 0 to %d", drainSeconds, MOST_DRAIN_SECONDS);
        }
        return Duration.ofSeconds(drainSeconds);
    }
}
