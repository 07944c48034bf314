import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.evaluate.Estimate;
import dev.lithe.evaluate.Interval;
import dev.lithe.evaluate.Quality;
import dev.lithe.evaluate.Scores;
import dev.lithe.model.Decoder;
import dev.lithe.model.KvBatch;
import dev.lithe.model.KvCache;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.PageAttention;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import dev.lithe.tokenize.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/// What choosing pages costs in perplexity and gives in time:
///
///     eval/page-attention MODEL TEXT [POSITIONS...]
///
/// Arguments: a folder to write to, where `random` is a model for the times, then those.
/// Times are of tokens decoded one after the other behind a text that was read; all ways share its
/// keys and values, go in random order, and are compared within a round.
public final class Pages {
    private static final int WINDOWS = 60;
    private static final int ROUNDS = 20;
    private static final int READINGS = 10;
    private static final int TOKENS = 16;
    private static final int PIECE = 2048;

    private final Path out;
    private final Random random = new Random(0);
    private int made;

    private Pages(Path out) {
        this.out = out;
    }

    public static void main(String... arguments) throws IOException {
        var pages = new Pages(Path.of(arguments[0]));
        pages.perplexity(Path.of(arguments[1]), Path.of(arguments[2]));
        int[] positions = Arrays.stream(arguments).skip(3).mapToInt(Integer::parseInt).sorted().toArray();
        pages.times(pages.out.resolve("random"), positions);
    }

    /// The model in `folder`, of which only the configuration differs.
    private Decoder open(Path folder, PageAttention seen) throws IOException {
        Path made = Files.createDirectory(out.resolve("variant-" + this.made++));
        try (Stream<Path> files = Files.list(folder)) {
            for (Path file : files.toList()) {
                Files.createSymbolicLink(made.resolve(file.getFileName()), file.toAbsolutePath());
            }
        }
        Path config = made.resolve("config.json");
        var json = new JsonMapper();
        var stated = (ObjectNode) json.readTree(Files.readAllBytes(config));
        Files.delete(config);
        seen.describe(stated);
        json.writeValue(config.toFile(), stated);
        return Decoder.open(made);
    }

    private void perplexity(Path folder, Path text) throws IOException {
        int[] ids;
        try (var tokenizer = Tokenizer.open(folder)) {
            ids = tokenizer.encode(Files.readString(text), true);
        }
        double[][] all;
        int context;
        try (Decoder decoder = open(folder, PageAttention.NONE)) {
            context = decoder.spec().maxPositions();
            all = losses(decoder, ids, context);
        }
        int windows = all.length;
        System.out.printf(
                "%d windows of %d tokens; everything: perplexity %.3f, of their second halves %.3f%n%n",
                windows,
                context,
                Math.exp(Quality.meanLoss(scores(all, 0))),
                Math.exp(Quality.meanLoss(scores(all, context / 2))));
        System.out.println(
                "| pages of 16 | tokens seen, at most | dense | ratio of perplexity | of second halves |");
        System.out.println("|---|---|---|---|---|");
        for (int dense : new int[] {2, 0}) {
            for (int pages : new int[] {1, 2, 4, 8, 16}) {
                try (Decoder decoder = open(folder, new PageAttention(16, pages, dense))) {
                    double[][] some = losses(decoder, ids, context);
                    System.out.printf(
                            "| %d | %d | %d | %s | %s |%n",
                            pages,
                            16 * (pages + 1),
                            dense,
                            ratio(some, all, 0),
                            ratio(some, all, context / 2));
                }
            }
        }
    }

    private static String ratio(double[][] some, double[][] all, int from) {
        Estimate ratio = Quality.perplexityRatio(scores(some, from), scores(all, from), 0);
        Interval interval = ratio.interval();
        return String.format(
                Locale.ROOT,
                "%.4f [%.4f, %.4f]",
                ratio.value(),
                interval.low(),
                interval.high());
    }

    /// Sums by window of the losses from a place on.
    private static Scores scores(double[][] losses, int from) {
        double[] sums =
                Arrays.stream(losses)
                        .mapToDouble(window -> Arrays.stream(window).skip(from).sum())
                        .toArray();
        return new Scores(losses[0].length - from, sums, null);
    }

    private static double[][] losses(Decoder decoder, int[] ids, int context) {
        double[][] losses = new double[Math.min(WINDOWS, ids.length / context)][];
        for (int i = 0; i < losses.length; i++) {
            try (var scope = TensorScope.open()) {
                long[] window =
                        Arrays.stream(ids, i * context, (i + 1) * context).asLongStream().toArray();
                Value read = scope.tensor(Arrays.copyOf(window, context - 1), 1, context - 1);
                Value next = scope.tensor(Arrays.copyOfRange(window, 1, context), 1, context - 1);
                KvCache cache = decoder.newCache(1, context, scope);
                Value logits = decoder.forward(read, 0, cache, true, scope);
                float[] each = scope.call("token_loss", logits, next).floats();
                losses[i] = IntStream.range(0, each.length).mapToDouble(t -> each[t]).toArray();
            }
        }
        return losses;
    }

    private void times(Path folder, int... positions) throws IOException {
        List<PageAttention> ways =
                List.of(
                        PageAttention.NONE,
                        PageAttention.NONE,
                        new PageAttention(16, 16, 2),
                        new PageAttention(16, 64, 2),
                        new PageAttention(16, 16, 0));
        List<Decoder> decoders = new ArrayList<>();
        for (PageAttention way : ways) {
            decoders.add(open(folder, way));
        }
        reading(ways, decoders, positions[0]);
        // has the bounds of all blocks, where others need those of some
        Decoder reader = decoders.getLast();
        int longest = positions[positions.length - 1] + TOKENS;
        try (var scope = TensorScope.open()) {
            KvCache cache = reader.newCache(1, longest, scope);
            try (var batch = new KvBatch(List.of(cache))) {
                for (int position : positions) {
                    long start = System.nanoTime();
                    while (cache.position() < position) {
                        int count = Math.min(PIECE, position - cache.position());
                        try (var step = TensorScope.open()) {
                            reader.extend(new int[][] {ids(reader, count)}, batch, false, step);
                        }
                    }
                    System.out.printf(
                            Locale.ROOT,
                            "%n%d positions (those since the last were read in %.0f s)%n%n",
                            position,
                            (System.nanoTime() - start) / 1e9);
                    compare(
                            ways,
                            decoders,
                            ROUNDS,
                            decoder -> decode(decoder, batch, position),
                            decoder -> bytes(decoder, position));
                }
            }
        }
        decoders.forEach(Decoder::close);
    }

    /// Of a whole text at once.
    private void reading(List<PageAttention> ways, List<Decoder> decoders, int tokens) {
        System.out.printf("%n%d tokens read at once%n%n", tokens);
        compare(ways, decoders, READINGS, decoder -> {
            try (var scope = TensorScope.open();
                    var batch = new KvBatch(List.of(decoder.newCache(1, tokens, scope)))) {
                int[] ids = ids(decoder, tokens);
                long start = System.nanoTime();
                float[] _ = decoder.extend(new int[][] {ids}, batch, false, scope).floats();
                return (System.nanoTime() - start) / 1e6 / tokens;
            }
        }, _ -> 0);
    }

    private int[] ids(Decoder decoder, int count) {
        return random.ints(count, 0, decoder.spec().vocabSize()).toArray();
    }

    /// Times all ways in turn.
    ///
    /// @param time milliseconds per token
    /// @param bytes that a token reads; 0 leaves them out
    private void compare(
            List<PageAttention> ways,
            List<Decoder> decoders,
            int rounds,
            ToDoubleFunction<Decoder> time,
            ToDoubleFunction<Decoder> bytes) {
        double[][] millis = new double[ways.size()][rounds];
        List<Integer> order = new ArrayList<>(IntStream.range(0, ways.size()).boxed().toList());
        for (int round = -1; round < rounds; round++) {
            Collections.shuffle(order, random);
            for (int way : order) {
                double taken = time.applyAsDouble(decoders.get(way));
                if (round >= 0) {
                    millis[way][round] = taken;
                }
            }
        }
        System.out.println(
                "| sees | MB to read | ratio | ms per token, median | ratio, median"
                        + " | 5 to 95 % of rounds |");
        System.out.println("|---|---|---|---|---|---|");
        double whole = bytes.applyAsDouble(decoders.getFirst());
        for (int way = 0; way < ways.size(); way++) {
            double[] ratios = new double[rounds];
            for (int round = 0; round < rounds; round++) {
                ratios[round] = millis[way][round] / millis[0][round];
            }
            Arrays.sort(ratios);
            double read = bytes.applyAsDouble(decoders.get(way));
            System.out.printf(
                    Locale.ROOT,
                    "| %s | %s | %.2f | %.3f | %.3f to %.3f |%n",
                    ways.get(way).limited() ? ways.get(way).label() : "everything",
                    whole == 0
                            ? " | "
                            : String.format(Locale.ROOT, "%.0f | %.3f", read / 1e6, read / whole),
                    Arrays.stream(millis[way]).sorted().toArray()[rounds / 2],
                    ratios[rounds / 2],
                    ratios[rounds / 20],
                    ratios[rounds - 1 - rounds / 20]);
        }
    }

    /// Milliseconds per token of some behind `position`, which are taken back.
    private double decode(Decoder decoder, KvBatch batch, int position) {
        KvCache cache = batch.caches().getFirst();
        cache.rewind(position);
        int[] ids = ids(decoder, TOKENS);
        long start = System.nanoTime();
        for (int id : ids) {
            try (var step = TensorScope.open()) {
                float[] _ = decoder.decode(new int[] {id}, batch, step).floats();
            }
        }
        return (System.nanoTime() - start) / 1e6 / TOKENS;
    }

    /// Weights, then of each block keys and values of what a token sees, and bounds of all pages.
    private static double bytes(Decoder decoder, int position) {
        ModelSpec spec = decoder.spec();
        PageAttention seen = spec.pageAttention();
        double row = 2.0 * spec.kvHeads() * spec.headDim() * Float.BYTES;
        double some = Math.min(position, seen.page() * (seen.pages() + 0.5)); // half of its own
        double bounds = seen.limited() ? (double) position / seen.page() : 0;
        long choose = spec.blocksThatChoosePages();
        return decoder.memoryBytes()
                + (spec.layers() - choose) * row * position
                + choose * row * (some + bounds);
    }
}
