import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.engine.Engine;
import dev.lithe.engine.EngineLimits;
import dev.lithe.engine.Finish;
import dev.lithe.engine.GenerationListener;
import dev.lithe.engine.GenerationRequest;
import dev.lithe.engine.SamplingOptions;
import dev.lithe.engine.ServedModel;
import dev.lithe.engine.StopRules;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Decoder;
import dev.lithe.model.KvCache;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/// Texts of 20 times a context, with attention to sinks and a window, or to heavy hitters too:
///
///     eval/sparse-attention MODEL TEXT
///
/// Arguments: the model, the same with `sparse_attention`, a text, at which of its tokens the last
/// ones are read anew, how many of the window are given for heavy hitters, -1 for half, and how many
/// tokens are read anew, 0 for as many as are seen. Losses of ways are compared token by token, at
/// those tokens that all have.
public final class Streaming {
    private static final int TIMES = 20;
    private static final int STREAMS = 3;
    private static final int PIECE = 128;

    private Streaming() {}

    public static void main(String... arguments) throws IOException {
        Path sinks = Path.of(arguments[1]);
        int every = Integer.parseInt(arguments[3]);
        int heavy = Integer.parseInt(arguments[4]);
        int stated = Integer.parseInt(arguments[5]);
        Path plain = changed(sinks, "window", Streaming::windowOnly);
        Path chosen = changed(sinks, "heavy", section -> keepHeavy(section, heavy, stated));
        try (ServedModel dense = ServedModel.open(Path.of(arguments[0]));
                ServedModel sparse = ServedModel.open(sinks);
                ServedModel window = ServedModel.open(plain);
                ServedModel hitters = ServedModel.open(chosen)) {
            int[] all = dense.tokenizer().encode(Files.readString(Path.of(arguments[2])), true);
            int reach = sparse.decoder().spec().sparseAttention().reach();
            int context = stated > 0 ? stated : reach;
            int length = TIMES * context;
            List<ServedModel> ways = List.of(sparse, window, hitters);
            System.out.printf("Streams of %d tokens. Read anew: the last %d.%n", length, context);
            for (int i = 0; i < ways.size(); i++) {
                var seen = ways.get(i).decoder().spec().sparseAttention();
                System.out.printf(
                        "%c: %s, %d bytes of keys, values and sums%n",
                        'A' + i, seen.label(), ways.get(i).decoder().spec().cacheBytes(length));
            }
            System.out.printf(
                    "%n| from token | read anew | A | ratio | B | ratio | C | ratio | A, all tokens | B | C |"
                            + " C / A | A, last twentieth | C | C / A |%n"
                            + "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|%n");
            for (int i = 0; i < STREAMS; i++) {
                int start = (all.length - length) / (STREAMS - 1) * i;
                row(dense.decoder(), ways, all, start, length, context, every);
            }
            generate(hitters, all, length);
        }
    }

    private static void row(
            Decoder dense,
            List<ServedModel> ways,
            int[] all,
            int start,
            int length,
            int context,
            int every) {
        int[] ids = Arrays.copyOfRange(all, start, start + length);
        List<float[]> losses =
                ways.stream().map(way -> streamed(way.decoder(), ids)).toList();
        double[] sums = new double[losses.size()];
        double anew = 0;
        int count = 0;
        for (int t = 1 + every; t < length; t += every) {
            anew += anew(dense, ids, t, context);
            for (int i = 0; i < sums.length; i++) {
                sums[i] += losses.get(i)[t - 1];
            }
            count++;
        }
        System.out.printf(Locale.ROOT, "| %d | %.3f |", start, Math.exp(anew / count));
        for (double sum : sums) {
            System.out.printf(
                    Locale.ROOT,
                    " %.3f | %.4f |",
                    Math.exp(sum / count),
                    Math.exp((sum - anew) / count));
        }
        double[] whole = losses.stream().mapToDouble(each -> mean(each, 0)).toArray();
        double[] last =
                losses.stream().mapToDouble(each -> mean(each, length - length / TIMES)).toArray();
        System.out.printf(
                Locale.ROOT,
                " %.3f | %.3f | %.3f | %.4f | %.3f | %.3f | %.4f |%n",
                Math.exp(whole[0]),
                Math.exp(whole[1]),
                Math.exp(whole[2]),
                Math.exp(whole[2] - whole[0]),
                Math.exp(last[0]),
                Math.exp(last[2]),
                Math.exp(last[2] - last[0]));
    }

    private static double mean(float[] losses, int from) {
        return IntStream.range(from, losses.length).mapToDouble(t -> losses[t]).average().orElse(0);
    }

    /// Without the sinks, which no recipe makes, and a window as much longer.
    private static void windowOnly(ObjectNode section) {
        section.put("window", section.path("window").asInt() + section.path("sinks").asInt());
        section.put("sinks", 0);
    }

    /// With heavy hitters in the place of as much of the window.
    private static void keepHeavy(ObjectNode section, int heavy, int context) {
        int window = section.path("window").asInt();
        int kept = heavy < 0 ? window / 2 : heavy;
        int seen = window + section.path("sinks").asInt();
        section.put("window", window - kept).put("heavy", kept);
        section.put("context", context > 0 ? context : seen);
    }

    /// The same model with another choice of what is seen.
    private static Path changed(Path sinks, String name, Consumer<ObjectNode> change)
            throws IOException {
        Path made = Files.createDirectory(sinks.resolveSibling(name));
        try (Stream<Path> files = Files.list(sinks)) {
            for (Path file : files.toList()) {
                Files.createSymbolicLink(made.resolve(file.getFileName()), file);
            }
        }
        Path config = made.resolve("config.json");
        var json = new JsonMapper();
        var stated = (ObjectNode) json.readTree(Files.readAllBytes(config));
        Files.delete(config);
        change.accept(stated.withObject("/lithe_sparse_attention"));
        json.writeValue(config.toFile(), stated);
        return made;
    }

    /// Losses of the tokens after the first, each read once.
    private static float[] streamed(Decoder decoder, int[] ids) {
        float[] losses = new float[ids.length - 1];
        try (var scope = TensorScope.open()) {
            KvCache cache = decoder.newCache(1, decoder.spec().cacheRows(ids.length), scope);
            for (int first = 0; first < losses.length; first += PIECE) {
                int end = Math.min(losses.length, first + PIECE);
                float[] piece = losses(decoder, ids, first, end, first, cache, true);
                System.arraycopy(piece, 0, losses, first, piece.length);
            }
        }
        return losses;
    }

    /// Loss of one token, behind the last few before it as a text of their own.
    private static double anew(Decoder decoder, int[] ids, int token, int reach) {
        int first = Math.max(0, token - reach);
        try (var scope = TensorScope.open()) {
            KvCache cache = decoder.newCache(1, token - first, scope);
            return losses(decoder, ids, first, token, 0, cache, false)[0];
        }
    }

    private static float[] losses(
            Decoder decoder,
            int[] ids,
            int from,
            int to,
            int position,
            KvCache cache,
            boolean all) {
        try (var step = TensorScope.open()) {
            long[] read = Arrays.stream(ids, from, to).asLongStream().toArray();
            long[] next = Arrays.stream(ids, all ? from + 1 : to, to + 1).asLongStream().toArray();
            Value input = step.tensor(read, 1, read.length);
            Value logits = decoder.forward(input, position, cache, all, step);
            return step.call("token_loss", logits, step.tensor(next, 1, next.length)).floats();
        }
    }

    private static void generate(ServedModel model, int[] text, int tokens) {
        List<Integer> prompt = Arrays.stream(text, 0, 16).boxed().toList();
        var done = new CompletableFuture<Finish>();
        List<String> rows = new ArrayList<>();
        try (var engine = new Engine(EngineLimits.DEFAULT)) {
            GenerationListener listener =
                    new GenerationListener() {
                        private int count;
                        private long before = System.nanoTime();

                        @Override
                        public void onStart(int promptTokens, long seed) {}

                        @Override
                        public void onDelta(String delta, List<Integer> ids) {
                            count += ids.size();
                            if (count % (tokens / 5) == 0) {
                                long now = System.nanoTime();
                                rows.add(
                                        String.format(
                                                Locale.ROOT,
                                                "| %d | %d | %d | %.1f |",
                                                count,
                                                engine.cacheBytes(),
                                                resident() >> 20,
                                                (now - before) / 1e9));
                            }
                        }

                        @Override
                        public void onFinish(Finish finish) {
                            done.complete(finish);
                        }

                        @Override
                        public void onError(LitheException error) {
                            done.completeExceptionally(error);
                        }
                    };
            engine.submit(
                    new GenerationRequest(
                            model,
                            prompt,
                            new SamplingOptions(1, 0, 1, 0, 1, OptionalLong.of(1)),
                            StopRules.exactly(tokens),
                            OptionalLong.empty()),
                    listener);
            Finish finish = done.join();
            System.out.printf("%n%d tokens written, %s%n%n", finish.outputTokens(), finish.reason());
            System.out.println("| tokens | bytes of keys and values | resident MB | seconds |");
            System.out.println("|---|---|---|---|");
            rows.forEach(System.out::println);
        }
    }

    private static long resident() {
        try (Stream<String> lines = Files.lines(Path.of("/proc/self/status"))) {
            return lines.filter(line -> line.startsWith("VmRSS:"))
                    .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) * 1024)
                    .findFirst()
                    .orElse(0);
        } catch (IOException e) {
            return 0;
        }
    }
}
