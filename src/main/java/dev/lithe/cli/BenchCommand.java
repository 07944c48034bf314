package dev.lithe.cli;

import dev.lithe.evaluate.LatencySamples;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.proto.v1.GenerateStreamRequest;
import dev.lithe.proto.v1.GenerateStreamResponse;
import dev.lithe.proto.v1.GenerationInput;
import dev.lithe.proto.v1.ListVariantsRequest;
import dev.lithe.proto.v1.Stopping;
import dev.lithe.proto.v1.TokenIds;
import dev.lithe.proto.v1.Variant;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.SequencedMap;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/// `lithe bench`: latency of a running server's variants as a client sees it. One request at a
/// time; each prompt goes to every variant, and to the first once more, in an order drawn anew each
/// time, so that whatever else the machine does falls on all alike.
@Command(name = "bench", description = "Measure the latency of a running server's variants.")
final class BenchCommand implements Runnable {
    private static final int MOST_REQUESTS = 10_000;

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
            defaultValue = "20",
            description = "Requests per variant. Default: ${DEFAULT-VALUE}.")
    private int requests = 20;

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
        requireAtLeast("--requests", requests, 1);
        if (requests > MOST_REQUESTS) {
            throw LitheException.badInput("--requests %d; use at most %d", requests, MOST_REQUESTS);
        }
        requireAtLeast("--prompt-tokens", promptTokens, 1);
        requireAtLeast("--tokens", tokens, 2);
        requireAtLeast("--warmup", warmup, 0);
        try (ServerConnection server = connection.open()) {
            BenchResult result = server.call(() -> measure(server));
            PrintWriter out = spec.commandLine().getOut();
            out.println(json ? result.json() : result.table());
            out.flush();
        }
    }

    private static void requireAtLeast(String option, int value, int least) {
        if (value < least) {
            throw LitheException.badInput("%s %d; use %d or more", option, value, least);
        }
    }

    private BenchResult measure(ServerConnection server) {
        int vocabulary = chooseVariants(server);
        // The first once more, as a control.
        List<String> runs = new ArrayList<>(variants);
        runs.add(variants.getFirst());
        double[][] first = new double[runs.size()][requests];
        double[][] perToken = new double[runs.size()][requests];
        var random = new Random(seed);
        List<Integer> order = new ArrayList<>();
        runs.forEach(_ -> order.add(order.size()));
        for (int round = -warmup; round < requests; round++) {
            TokenIds prompt = prompt(random, vocabulary);
            Collections.shuffle(order, random);
            for (int run : order) {
                RequestTimes times = once(server, runs.get(run), prompt);
                if (round >= 0) {
                    first[run][round] = times.firstMillis();
                    perToken[run][round] = times.perTokenMillis();
                }
            }
        }
        SequencedMap<String, LatencySamples> measured = new LinkedHashMap<>();
        for (int run = 0; run < variants.size(); run++) {
            measured.put(variants.get(run), new LatencySamples(tokens, first[run], perToken[run]));
        }
        int last = variants.size();
        var again = new LatencySamples(tokens, first[last], perToken[last]);
        return new BenchResult(
                connection.target(), requests, promptTokens, tokens, warmup, seed, measured, again);
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

    /// Random tokens: what they say does not change how long they take.
    private TokenIds prompt(Random random, int vocabulary) {
        var ids = TokenIds.newBuilder();
        for (int i = 0; i < promptTokens; i++) {
            ids.addIds(random.nextInt(vocabulary));
        }
        return ids.build();
    }

    private RequestTimes once(ServerConnection server, String name, TokenIds prompt) {
        var stopping = Stopping.newBuilder().setMaxNewTokens(tokens).setIgnoreEos(true);
        var input =
                GenerationInput.newBuilder()
                        .setVariant(name)
                        .setTokenIds(prompt)
                        .setStopping(stopping);
        var request = GenerateStreamRequest.newBuilder().setInput(input).build();
        long sent = System.nanoTime();
        long first = 0;
        long last = 0;
        int received = 0;
        Iterator<GenerateStreamResponse> events = server.generation().generateStream(request);
        while (events.hasNext()) {
            GenerateStreamResponse event = events.next();
            if (event.hasDelta()) {
                last = System.nanoTime();
                first = received == 0 ? last : first;
                received += event.getDelta().getTokenIdsCount();
            }
        }
        if (received != tokens) {
            throw LitheException.of(
                    Fault.INTERNAL,
                    "%s sent %d tokens instead of %d; its latency would mislead",
                    connection.target(),
                    received,
                    tokens);
        }
        return new RequestTimes((first - sent) / 1e6, (last - first) / 1e6 / (tokens - 1));
    }
}
