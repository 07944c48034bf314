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
import dev.lithe.model.SparseAttention;
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
import java.util.stream.Stream;

/// Texts of 20 times what is seen, with attention to sinks and a window:
///
///     eval/sparse-attention MODEL TEXT
///
/// Arguments: the model, the same with `sparse_attention`, a text, and at which of its tokens the
/// last ones are read anew. Losses of ways are compared token by token, at those tokens that all
/// have.
public final class Streaming {
    private static final int TIMES = 20;
    private static final int STREAMS = 3;
    private static final int PIECE = 128;

    private Streaming() {}

    public static void main(String... arguments) throws IOException {
        Path folder = Path.of(arguments[0]);
        Path sinks = Path.of(arguments[1]);
        int every = Integer.parseInt(arguments[3]);
        Path plain = windowOnly(sinks);
        try (ServedModel dense = ServedModel.open(folder);
                ServedModel sparse = ServedModel.open(sinks);
                ServedModel window = ServedModel.open(plain)) {
            int[] all = dense.tokenizer().encode(Files.readString(Path.of(arguments[2])), true);
            SparseAttention seen = sparse.decoder().spec().sparseAttention();
            int length = TIMES * seen.reach();
            System.out.printf(
                    "%d sinks, window %d; streams of %d tokens%n%n",
                    seen.sinks(), seen.window(), length);
            System.out.println(
                    "| from token | read anew | sinks and window | ratio | window alone | ratio |"
                            + " sinks, last twentieth | ratio |");
            System.out.println("|---|---|---|---|---|---|---|---|");
            for (int i = 0; i < STREAMS; i++) {
                int start = (all.length - length) / (STREAMS - 1) * i;
                int[] ids = Arrays.copyOfRange(all, start, start + length);
                float[] streamed = streamed(sparse.decoder(), ids);
                float[] slid = streamed(window.decoder(), ids);
                double[] sums = new double[5];
                int count = 0;
                int lastCount = 0;
                for (int t = 1 + every; t < length; t += every) {
                    double anew = anew(dense.decoder(), ids, t, seen.reach());
                    sums[0] += anew;
                    sums[1] += streamed[t - 1];
                    sums[2] += slid[t - 1];
                    count++;
                    if (t >= length - seen.reach()) {
                        sums[3] += anew;
                        sums[4] += streamed[t - 1];
                        lastCount++;
                    }
                }
                double oracle = Math.exp(sums[0] / count);
                double ours = Math.exp(sums[1] / count);
                double without = Math.exp(sums[2] / count);
                double end = Math.exp(sums[4] / lastCount);
                System.out.printf(
                        Locale.ROOT,
                        "| %d | %.3f | %.3f | %.4f | %.3f | %.4f | %.3f | %.4f |%n",
                        start,
                        oracle,
                        ours,
                        ours / oracle,
                        without,
                        without / oracle,
                        end,
                        end / Math.exp(sums[3] / lastCount));
            }
            generate(sparse, all, length, seen.reach());
        }
    }

    /// The same model without the sinks, which no recipe makes.
    private static Path windowOnly(Path sinks) throws IOException {
        Path made = Files.createDirectory(sinks.resolveSibling("window"));
        try (Stream<Path> files = Files.list(sinks)) {
            for (Path file : files.toList()) {
                Files.createSymbolicLink(made.resolve(file.getFileName()), file);
            }
        }
        Path config = made.resolve("config.json");
        var json = new JsonMapper();
        var stated = (ObjectNode) json.readTree(Files.readAllBytes(config));
        Files.delete(config);
        ObjectNode section = stated.withObject("/lithe_sparse_attention");
        section.put("window", section.path("window").asInt() + section.path("sinks").asInt());
        section.put("sinks", 0);
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

    private static void generate(ServedModel model, int[] text, int tokens, int reach) {
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
                            if (count % (4 * reach) == 0 || count == reach) {
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
