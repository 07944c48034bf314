package dev.lithe.cli;

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
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/// `lithe bench`: latency of a running server's variants as a client sees it. One request at a
/// time; each prompt goes to every variant, in an order drawn anew each time, so that whatever else
/// the machine does falls on all alike.
@Command(name = "bench", description = "Measure the latency of a running server's variants.")
final class BenchCommand implements Runnable {
    @Spec private CommandSpec spec;

    @Option(
            names = "--target",
            paramLabel = "HOST:PORT",
            defaultValue = ServerConnection.DEFAULT_TARGET,
            description = "Where the server listens. Default: ${DEFAULT-VALUE}.")
    private String target = ServerConnection.DEFAULT_TARGET;

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
        requireAtLeast("--prompt-tokens", promptTokens, 1);
        requireAtLeast("--tokens", tokens, 2);
        requireAtLeast("--warmup", warmup, 0);
        try (ServerConnection server = ServerConnection.open(target)) {
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
        Map<String, List<Latency>> measured = new LinkedHashMap<>();
        variants.forEach(name -> measured.put(name, new ArrayList<>()));
        var random = new Random(seed);
        for (int round = -warmup; round < requests; round++) {
            TokenIds prompt = prompt(random, vocabulary);
            List<String> order = new ArrayList<>(variants);
            Collections.shuffle(order, random);
            for (String name : order) {
                Latency latency = once(server, name, prompt);
                if (round >= 0) {
                    measured.computeIfAbsent(name, _ -> new ArrayList<>()).add(latency);
                }
            }
        }
        return new BenchResult(target, requests, promptTokens, tokens, warmup, seed, measured);
    }

    /// Checks the variants against the server and returns the smallest of their vocabularies.
    private int chooseVariants(ServerConnection server) {
        Map<String, Variant> served = new LinkedHashMap<>();
        server.models()
                .listVariants(ListVariantsRequest.getDefaultInstance())
                .getVariantsList()
                .forEach(variant -> served.put(variant.getName(), variant));
        if (variants.isEmpty()) {
            variants = new ArrayList<>(served.keySet());
        }
        int vocabulary = Integer.MAX_VALUE;
        for (String name : variants) {
            Variant variant = served.get(name);
            if (variant == null) {
                throw LitheException.of(
                        Fault.NOT_FOUND,
                        "variant '%s' is not served by %s; known: %s",
                        name,
                        target,
                        String.join(", ", served.keySet()));
            }
            if ((long) promptTokens + tokens > variant.getMaxPositions()) {
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

    private Latency once(ServerConnection server, String name, TokenIds prompt) {
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
                    target,
                    received,
                    tokens);
        }
        return new Latency((first - sent) / 1e6, (last - first) / 1e6 / (tokens - 1), tokens);
    }
}
