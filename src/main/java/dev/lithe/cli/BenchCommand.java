package dev.lithe.cli;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.proto.v1.ListVariantsRequest;
import dev.lithe.proto.v1.Variant;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/// `lithe bench`: latency and throughput of a running server's variants as a client sees them, one
/// request at a time, with several streams, or at a rate. Every variant, and the first once more as
/// a control, is asked the same in turn.
@Command(
        name = "bench",
        description = "Measure the latency and throughput of a running server's variants.")
final class BenchCommand implements Runnable {
    private static final int MOST_REQUESTS = 10_000;
    private static final int MOST_STREAMS = 1024;
    private static final int MOST_SECONDS = 86_400;
    private static final double LOWEST_RATE = 0.001;
    private static final double HIGHEST_RATE = 10_000;

    @Spec private CommandSpec spec;

    @Mixin private ConnectionFlags connection = new ConnectionFlags();

    @Option(
            names = "--variants",
            split = ",",
            paramLabel = "NAME",
            description =
                    "Which variants; the first is what the others are compared with."
                            + " Default: all.")
    private List<String> variants = new ArrayList<>();

    @Option(
            names = "--requests",
            description =
                    "Requests per variant and load. Default: 20; 40 for each of several streams;"
                            + " 200 at a rate.")
    private @Nullable Integer requests;

    @Option(
            names = "--concurrency",
            split = ",",
            paramLabel = "N",
            description =
                    "Streams at a time, each of which asks again once it is answered; several"
                            + " numbers are measured one after the other. Default: 1.")
    private List<Integer> concurrency = new ArrayList<>();

    @Option(
            names = "--rate",
            split = ",",
            paramLabel = "NUMBER",
            description =
                    "Instead: requests a second at random times, whatever the answers do; each"
                            + " is timed from when it was due.")
    private List<Double> rates = new ArrayList<>();

    @Option(
            names = "--goodput",
            split = ",",
            paramLabel = "NAME=MS",
            description =
                    "Count the requests within these milliseconds: ttft (time to first token),"
                            + " tpot (time per token), e2e (whole request).")
    private Map<String, Double> goodput = new LinkedHashMap<>();

    @Option(
            names = "--timeout",
            paramLabel = "SECONDS",
            defaultValue = "300",
            description =
                    "After which a request is given up and counts as failed."
                            + " Default: ${DEFAULT-VALUE}.")
    private int seconds = 300;

    @Option(
            names = "--prompt-tokens",
            defaultValue = "64",
            description = "Tokens of each prompt. Default: ${DEFAULT-VALUE}.")
    private int promptTokens = 64;

    @Option(
            names = "--tokens",
            defaultValue = "64",
            description =
                    "Tokens that each request generates, at least 2."
                            + " Default: ${DEFAULT-VALUE}.")
    private int tokens = 64;

    @Option(
            names = "--warmup",
            defaultValue = "2",
            description =
                    "Requests per variant before those that count." + " Default: ${DEFAULT-VALUE}.")
    private int warmup = 2;

    @Option(
            names = "--seed",
            defaultValue = "0",
            description = "For the order and the prompts. Default: ${DEFAULT-VALUE}.")
    private long seed;

    @Option(names = "--json", description = "Print the result as JSON.")
    private boolean json;

    @Override
    public void run() {
        if (requests != null) {
            requireWithin("--requests", requests, 1, MOST_REQUESTS);
        }
        requireWithin("--prompt-tokens", promptTokens, 1, Integer.MAX_VALUE);
        requireWithin("--tokens", tokens, 2, Integer.MAX_VALUE);
        requireWithin("--warmup", warmup, 0, MOST_REQUESTS);
        requireWithin("--timeout", seconds, 1, MOST_SECONDS);
        List<BenchLoad> loads = loads();
        BenchGoal goal = BenchGoal.of(goodput);
        try (ServerConnection server = connection.open()) {
            int vocabulary = server.call(() -> chooseVariants(server));
            var plan =
                    new BenchPlan(
                            connection.target(),
                            variants,
                            loads,
                            requests == null ? 0 : requests,
                            promptTokens,
                            tokens,
                            warmup,
                            seed,
                            vocabulary,
                            goal);
            BenchResult result = new BenchRunner(plan, server.streams(seconds)).run();
            result.requireAnswers();
            PrintWriter out = spec.commandLine().getOut();
            out.println(json ? result.json() : result.table());
            out.flush();
        }
    }

    private static void requireWithin(String option, int value, int least, int most) {
        if (value < least) {
            throw LitheException.badInput("%s %d; use %d or more", option, value, least);
        }
        if (value > most) {
            throw LitheException.badInput("%s %d; use at most %d", option, value, most);
        }
    }

    private List<BenchLoad> loads() {
        if (!rates.isEmpty() && !concurrency.isEmpty()) {
            throw LitheException.badInput(
                    "--rate sends whatever the answers do, so --concurrency has no say; use one");
        }
        List<BenchLoad> loads = new ArrayList<>();
        for (double rate : rates) {
            if (!(rate >= LOWEST_RATE && rate <= HIGHEST_RATE)) {
                throw LitheException.badInput(
                        "--rate %s; use %s to %.0f a second", rate, LOWEST_RATE, HIGHEST_RATE);
            }
            loads.add(new BenchLoad.Rate(rate));
        }
        for (int streams : concurrency) {
            requireWithin("--concurrency", streams, 1, MOST_STREAMS);
            if (requests != null && requests < streams) {
                throw LitheException.badInput(
                        "--requests %d cannot keep %d streams busy; use %d or more",
                        requests, streams, streams);
            }
            loads.add(new BenchLoad.Streams(streams));
        }
        return loads.isEmpty() ? List.of(new BenchLoad.Streams(1)) : loads;
    }

    /// Checks the variants against the server and returns the smallest of their vocabularies.
    private int chooseVariants(ServerConnection server) {
        Map<String, Variant> served = new LinkedHashMap<>();
        server.models()
                .listVariants(ListVariantsRequest.getDefaultInstance())
                .getVariantsList()
                .forEach(variant -> served.put(variant.getName(), variant));
        variants =
                variants.isEmpty()
                        ? List.copyOf(served.keySet())
                        : variants.stream().distinct().toList();
        int vocabulary = Integer.MAX_VALUE;
        for (String name : variants) {
            Variant variant = served.get(name);
            if (variant == null) {
                throw LitheException.of(
                        Fault.NOT_FOUND,
                        "variant '%s' is not served by %s; known: %s",
                        name,
                        connection.target(),
                        String.join(", ", served.keySet()));
            }
            // The last token is never read again, so it needs no position.
            if ((long) promptTokens + tokens - 1 > variant.getMaxPositions()) {
                throw LitheException.badInput(
                        "%d prompt tokens and %d new ones exceed the context of %d of '%s'",
                        promptTokens, tokens, variant.getMaxPositions(), name);
            }
            vocabulary = Math.min(vocabulary, variant.getVocabularySize());
        }
        return vocabulary;
    }
}
