import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.calibrate.Workbench.StepListener;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.compress.Compressor;
import dev.lithe.compress.Pipeline;
import dev.lithe.compress.RecipeParser;
import dev.lithe.tokenize.TextFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/// Carries out one training stage on windows of tokens that follow a rule and prints a line for each of its
/// steps: its number, milliseconds since the step before, and MB of memory, all of it and without
/// mapped files.
///
///     java -cp CLASSES eval/TrainingSteps.java MODEL CONTEXT STAGE OUTPUT [STEPS]
///
/// STAGE as `lithe compress --stage` takes it, such as `train:steps=100`. With STEPS it ends there.
public final class TrainingSteps implements Pipeline.Listener {
    private static final Path STATUS = Path.of("/proc/self/status");

    private static final int WINDOWS = 256;

    private final int most;
    private long last = System.nanoTime();

    private TrainingSteps(int most) {
        this.most = most;
    }

    /// Trains.
    public static void main(String[] arguments) {
        int context = Integer.parseInt(arguments[1]);
        var recipe = RecipeParser.inline(List.of(arguments[2]));
        int most = arguments.length > 4 ? Integer.parseInt(arguments[4]) : Integer.MAX_VALUE;
        try (Checkpoint source = Checkpoint.open(Path.of(arguments[0]))) {
            new Pipeline(
                            recipe,
                            source,
                            (_, spec) -> windows(context, spec.vocabSize()),
                            new TrainingSteps(most))
                    .run(Path.of(arguments[3]), true);
        }
    }

    private static CalibrationSet windows(int context, int vocabulary) {
        var random = new Random(0);
        long[][] windows = new long[WINDOWS][];
        for (int i = 0; i < WINDOWS; i++) {
            windows[i] = new long[context];
            windows[i][0] = random.nextInt(vocabulary);
            for (int j = 1; j < context; j++) {
                windows[i][j] = (windows[i][j - 1] * 5 + 17) % vocabulary;
            }
        }
        return new CalibrationSet(new TextFile("none", "", ""), windows, 0);
    }

    @Override
    public Compressor.Listener begins(
            Pipeline.Leg leg, Checkpoint source, @Nullable CalibrationSet calibration) {
        return (_, _, _) -> {};
    }

    @Override
    public StepListener steps(Pipeline.Leg leg) {
        return (done, _, _) -> {
            long now = System.nanoTime();
            System.out.printf(
                    Locale.ROOT,
                    "step %d %.1f ms %d %d MB%n",
                    done,
                    (now - last) / 1e6,
                    megabytes("VmRSS:"),
                    megabytes("RssAnon:"));
            if (done >= most) {
                System.exit(0);
            }
            last = System.nanoTime();
        };
    }

    private static long megabytes(String key) {
        try {
            return Files.readAllLines(STATUS).stream()
                    .filter(line -> line.startsWith(key))
                    .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) >> 10)
                    .findFirst()
                    .orElse(0);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
