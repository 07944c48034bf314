package dev.lithe.model;

import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Random;

/// Tokens per second of a model in the three lengths of llama.cpp's benchmarks; `eval/bench` runs
/// it. Each line of output is a test and its rate: `pp512` a prompt of 512 tokens at once, `tg128`
/// 128 tokens one after the other from an empty context, `tg128x4` the same of four sequences
/// together. Token ids are random, as theirs are. The best of some rounds, since others of them
/// were disturbed.
public final class SpeedBenchmark {
    private static final int PROMPT = 512;
    private static final int GENERATED = 128;
    private static final int ROUNDS = 3;

    private SpeedBenchmark() {}

    public static void main(String... arguments) {
        try (Decoder decoder = Decoder.open(Path.of(arguments[0]))) {
            System.out.println("kernels " + decoder.kernels().keySet());
            System.out.printf(Locale.ROOT, "MB %.1f%n", decoder.memoryBytes() / 1e6);
            var random = new Random(0);
            for (int round = 0; round < ROUNDS; round++) {
                print("pp512", PROMPT, prompt(decoder, random));
                print("tg128", GENERATED, generate(decoder, 1, random));
                print("tg128x4", 4 * GENERATED, generate(decoder, 4, random));
            }
        }
    }

    private static void print(String test, int tokens, long nanos) {
        System.out.printf(Locale.ROOT, "%s %.2f%n", test, tokens * 1e9 / nanos);
    }

    private static long prompt(Decoder decoder, Random random) {
        try (var scope = TensorScope.open();
                var batch = batch(decoder, 1, PROMPT, scope)) {
            int[][] pieces = {random.ints(PROMPT, 0, decoder.spec().vocabSize()).toArray()};
            long start = System.nanoTime();
            float[] _ = decoder.extend(pieces, batch, false, scope).floats();
            return System.nanoTime() - start;
        }
    }

    private static long generate(Decoder decoder, int sequences, Random random) {
        try (var scope = TensorScope.open();
                var batch = batch(decoder, sequences, GENERATED, scope)) {
            long start = System.nanoTime();
            for (int i = 0; i < GENERATED; i++) {
                int[] ids = random.ints(sequences, 0, decoder.spec().vocabSize()).toArray();
                try (var step = TensorScope.open()) {
                    Value logits = decoder.decode(ids, batch, step);
                    long _ = step.call("greedy", logits).integer();
                }
            }
            return System.nanoTime() - start;
        }
    }

    private static KvBatch batch(Decoder decoder, int sequences, int room, TensorScope scope) {
        List<KvCache> caches = new ArrayList<>();
        for (int i = 0; i < sequences; i++) {
            caches.add(decoder.newCache(1, room, scope));
        }
        return new KvBatch(caches);
    }
}
