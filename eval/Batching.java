import dev.lithe.engine.Engine;
import dev.lithe.engine.EngineLimits;
import dev.lithe.engine.Finish;
import dev.lithe.engine.GenerationListener;
import dev.lithe.engine.GenerationRequest;
import dev.lithe.engine.SamplingOptions;
import dev.lithe.engine.ServedModel;
import dev.lithe.engine.StopRules;
import dev.lithe.engine.Ticket;
import dev.lithe.fault.LitheException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalLong;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.LockSupport;

/// What continuous batching gives, measured inside one process: the throughput of several streams
/// over that of one, and how long a short request waits while a long prompt is read; such come
/// one after the other, each up to three steps after the answer to the one before.
///
///     eval/batching MODEL...
///
/// Every number is a ratio to a stream that runs alone, measured again around each.
public final class Batching {
    private static final int[] STREAMS = {2, 4, 8, 16};
    private static final int TOKENS = 48;
    private static final int LONG = 2000;
    private static final int SHORT = 8;
    private static final int ROUNDS = 3;

    private record Answer(CompletableFuture<Finish> done) implements GenerationListener {
        Answer() {
            this(new CompletableFuture<>());
        }

        @Override
        public void onStart(int promptTokens, long seed) {}

        @Override
        public void onDelta(String text, List<Integer> ids) {}

        @Override
        public void onFinish(Finish finish) {
            done.complete(finish);
        }

        @Override
        public void onError(LitheException error) {
            done.completeExceptionally(error);
        }
    }

    private final ServedModel model;
    private final Engine engine = new Engine(EngineLimits.DEFAULT);
    private final Random random = new Random(1);

    private Batching(ServedModel model) {
        this.model = model;
    }

    public static void main(String[] folders) {
        for (String folder : folders) {
            System.out.println(Path.of(folder).getFileName());
            try (ServedModel model = ServedModel.open(Path.of(folder))) {
                new Batching(model).run();
            }
        }
    }

    private Answer ask(int prompt, int tokens) {
        var answer = new Answer();
        Ticket _ = ask(prompt, tokens, answer);
        return answer;
    }

    private Ticket ask(int prompt, int tokens, Answer answer) {
        int vocabulary = model.decoder().spec().vocabSize();
        List<Integer> ids = random.ints(prompt, 0, vocabulary).boxed().toList();
        return engine.submit(
                new GenerationRequest(
                        model,
                        ids,
                        SamplingOptions.GREEDY,
                        StopRules.exactly(tokens),
                        OptionalLong.empty()),
                answer);
    }

    /// Milliseconds per token of a stream alone.
    private double step() {
        double[] times = new double[5];
        for (int i = 0; i < times.length; i++) {
            times[i] = ask(SHORT, TOKENS).done().join().decodeMillis() / (TOKENS - 1);
        }
        Arrays.sort(times);
        return times[times.length / 2];
    }

    private void run() {
        step();
        read();
        for (int streams : STREAMS) {
            double before = step();
            long start = System.nanoTime();
            List<Answer> answers = new ArrayList<>();
            for (int i = 0; i < streams; i++) {
                answers.add(ask(SHORT, TOKENS));
            }
            double slowest =
                    answers.stream().mapToDouble(a -> a.done().join().decodeMillis()).max().orElseThrow();
            double alone = (before + step()) / 2;
            double together = slowest / (TOKENS - 1);
            System.out.printf(
                    "  %2d streams: a step takes %.2f steps of one, so %.2f times the tokens%n",
                    streams, together / alone, streams * alone / together);
        }
        waits(false);
        waits(true);
        engine.close();
    }

    /// The speed of reading a long prompt that nobody waits for.
    private void read() {
        double[] times = new double[ROUNDS];
        for (int i = 0; i < ROUNDS; i++) {
            times[i] = ask(LONG, 1).done().join().firstTokenMillis();
        }
        Arrays.sort(times);
        System.out.printf("  %d tokens alone are read at %.0f a second%n", LONG, 1e3 * LONG / times[ROUNDS / 2]);
    }

    /// Waits for a part of `millis`, so that a request finds the engine anywhere in its work.
    private void pause(double millis) {
        LockSupport.parkNanos((long) (random.nextDouble() * millis * 1e6));
    }

    private void waits(boolean beside) {
        List<Double> waits = new ArrayList<>();
        double[] slower = new double[ROUNDS];
        for (int round = 0; round < ROUNDS; round++) {
            double alone = ask(LONG, 1).done().join().firstTokenMillis();
            double before = step();
            var stream = new Answer();
            Ticket streaming = beside ? ask(SHORT, LONG, stream) : () -> {};
            Answer read = ask(LONG, 1);
            List<Double> millis = new ArrayList<>();
            while (!read.done().isDone()) {
                pause(3 * before);
                millis.add(ask(SHORT, 1).done().join().firstTokenMillis());
            }
            streaming.cancel();
            millis.removeLast(); // it may have come when the prompt was read
            double step = (before + step()) / 2;
            millis.forEach(each -> waits.add(each / step));
            slower[round] = read.done().join().firstTokenMillis() / alone;
        }
        double[] sorted = waits.stream().mapToDouble(each -> each).sorted().toArray();
        Arrays.sort(slower);
        System.out.printf(
                "  %d tokens after %d%s: first token after %.1f steps, 95 %% within %.1f, all within"
                        + " %.1f (%d requests); the long one took %.2f times as long as alone%n",
                SHORT,
                LONG,
                beside ? " beside a stream" : "",
                sorted[sorted.length / 2],
                sorted[sorted.length * 95 / 100],
                sorted[sorted.length - 1],
                sorted.length,
                slower[ROUNDS / 2]);
    }
}
