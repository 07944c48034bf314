package dev.lithe.tensor;

import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/// What this machine has to give, for plans.
///
/// @param memoryBytes of the machine, or of the container's limit where that is less
/// @param availableBytes that can be taken without pushing anything out to disk
public record Machine(long memoryBytes, long availableBytes) {
    private static final Path MEMORY = Path.of("/proc/meminfo");
    private static final Path PROCESSOR = Path.of("/proc/cpuinfo");

    /// How Linux calls the instructions.
    private static final List<String> BFLOAT16 = List.of("amx_bf16", "avx512_bf16", "bf16");

    private static final Path SELF = Path.of("/proc/self/status");
    private static final long KILOBYTE = 1024;

    private static final int ROWS = 1024;
    private static final int COLUMNS = 512;
    private static final int TRIALS = 4;

    /// As it is now.
    public static Machine here() {
        long memory = memory();
        long used = kilobytes(SELF, "RssAnon:", 0);
        long free = kilobytes(MEMORY, "MemAvailable:", memory) + kilobytes(MEMORY, "SwapFree:", 0);
        return new Machine(memory, Math.min(free, memory - used));
    }

    private static long memory() {
        return ManagementFactory.getOperatingSystemMXBean() instanceof OperatingSystemMXBean system
                ? system.getTotalMemorySize()
                : Long.MAX_VALUE;
    }

    /// Linux tells in files; elsewhere `otherwise` has to do.
    private static long kilobytes(Path file, String key, long otherwise) {
        if (!Files.isReadable(file)) {
            return otherwise;
        }
        try (Stream<String> lines = Files.lines(file)) {
            return lines.filter(line -> line.startsWith(key))
                    .map(line -> Long.parseLong(line.replaceAll("\\D", "")) * KILOBYTE)
                    .findFirst()
                    .orElse(otherwise);
        } catch (IOException | NumberFormatException _) {
            return otherwise;
        }
    }

    /// Whether the processor multiplies bfloat16 itself. Where it does not, libtorch's products are
    /// many times slower than float32's.
    public static boolean multipliesBfloat16() {
        if (!Files.isReadable(PROCESSOR)) {
            return false;
        }
        try (Stream<String> lines = Files.lines(PROCESSOR)) {
            return lines.filter(line -> line.startsWith("flags") || line.startsWith("Features"))
                    .findFirst()
                    .map(line -> List.of(line.split("\\s+")))
                    .filter(flags -> BFLOAT16.stream().anyMatch(flags::contains))
                    .isPresent();
        } catch (IOException | UncheckedIOException _) {
            return false;
        }
    }

    /// The faster precision to train in.
    public static DType trainingPrecision() {
        return multipliesBfloat16() ? DType.BF16 : DType.F32;
    }

    /// Floating-point operations per second of a product of float32 matrices: the best of a few
    /// that take some milliseconds each, measured when it is first asked for.
    public static double productRate() {
        return Measured.RATE;
    }

    private static final class Measured {
        static final double RATE = measure();
    }

    private static double measure() {
        try (var scope = TensorScope.open()) {
            Value x = scope.call("zeros", ROWS, COLUMNS);
            Value sum = scope.call("zeros", COLUMNS, COLUMNS);
            double best = 0;
            for (int i = 0; i < TRIALS; i++) {
                long start = System.nanoTime();
                scope.call("add_outer", sum, x, 1.0);
                double seconds = Math.max(1, System.nanoTime() - start) / 1e9;
                best = Math.max(best, 2.0 * ROWS * COLUMNS * COLUMNS / seconds);
            }
            return best;
        }
    }
}
