package dev.lithe.cli;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.proto.v1.GenerateStreamRequest;
import dev.lithe.proto.v1.GenerationInput;
import dev.lithe.proto.v1.GenerationServiceGrpc.GenerationServiceStub;
import dev.lithe.proto.v1.Stopping;
import dev.lithe.proto.v1.TokenIds;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Random;
import java.util.SequencedMap;
import java.util.stream.Stream;

/// Puts a server under load: in each round every variant, and the first once more, gets the same
/// number of requests of the same lengths with the same arrivals, in an order drawn anew, so that
/// whatever else the machine does falls on all alike.
final class BenchRunner {
    private static final BenchLoad ALONE = new BenchLoad.Streams(1);

    private final BenchPlan plan;
    private final GenerationServiceStub stub;
    private final Random random;

    BenchRunner(BenchPlan plan, GenerationServiceStub stub) {
        this.plan = plan;
        this.stub = stub;
        this.random = new Random(plan.seed());
    }

    BenchResult run() {
        return new BenchResult(plan, plan.loads().stream().map(this::measure).toList());
    }

    private BenchLevel measure(BenchLoad load) {
        List<String> runs = new ArrayList<>(plan.variants());
        runs.add(plan.variants().getFirst()); // the control
        List<List<BenchSamples.Round>> rounds = new ArrayList<>();
        List<Integer> order = new ArrayList<>();
        for (int run = 0; run < runs.size(); run++) {
            rounds.add(new ArrayList<>());
            order.add(run);
            ALONE.send(stub, requests(runs.get(run), plan.warmup()), 0);
        }
        for (int count : plan.rounds(load)) {
            Collections.shuffle(order, random);
            long arrivals = random.nextLong();
            for (int run : order) {
                List<GenerateStreamRequest> requests = requests(runs.get(run), count);
                long start = System.nanoTime();
                List<RequestTimes> times = load.send(stub, requests, arrivals);
                double millis = (System.nanoTime() - start) / 1e6;
                times.forEach(this::requireLength);
                rounds.get(run).add(new BenchSamples.Round(times, millis));
            }
        }
        SequencedMap<String, BenchSamples> measured = new LinkedHashMap<>();
        for (int run = 0; run < plan.variants().size(); run++) {
            measured.put(runs.get(run), new BenchSamples(rounds.get(run)));
        }
        return new BenchLevel(load, measured, new BenchSamples(rounds.getLast()));
    }

    private List<GenerateStreamRequest> requests(String variant, int count) {
        return Stream.generate(() -> request(variant)).limit(count).toList();
    }

    /// Random tokens: what they say does not change how long they take. No two prompts are the
    /// same, or a server that remembers the beginnings of prompts would answer the second sooner.
    private GenerateStreamRequest request(String variant) {
        var ids = TokenIds.newBuilder();
        for (int i = 0; i < plan.promptTokens(); i++) {
            ids.addIds(random.nextInt(plan.vocabulary()));
        }
        var stopping = Stopping.newBuilder().setMaxNewTokens(plan.tokens()).setIgnoreEos(true);
        var input =
                GenerationInput.newBuilder()
                        .setVariant(variant)
                        .setTokenIds(ids)
                        .setStopping(stopping);
        return GenerateStreamRequest.newBuilder().setInput(input).build();
    }

    private void requireLength(RequestTimes times) {
        if (times.completed() && times.tokens() != plan.tokens()) {
            throw LitheException.of(
                    Fault.INTERNAL,
                    "%s sent %d tokens instead of %d; its latency would mislead",
                    plan.target(),
                    times.tokens(),
                    plan.tokens());
        }
    }
}
