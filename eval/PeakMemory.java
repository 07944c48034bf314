import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// Compresses a model with the built program and sets the plan's estimates beside what it took:
///
///     java eval/RandomModel.java models/random-110m --preset 110m
///     java eval/PeakMemory.java models/random-110m --stage gptq:bits=4,group_size=64
///
/// Arguments are those of `lithe compress`; the result is deleted. Measured is the anonymous
/// resident memory (RssAnon, sampled every few milliseconds) beyond what the process held when it
/// had printed its plan: Java and libtorch are started by then. Linux only. `LITHE` names the
/// program if it is not `target/lithe`.
public final class PeakMemory {
    private static final int SAMPLE_MILLIS = 3;
    private static final Pattern PLAN =
            Pattern.compile("peak memory about ([0-9.]+) ([kMGT])B · about ([0-9.]+) (s|min|h)");

    private PeakMemory() {}

    public static void main(String... arguments) throws Exception {
        Path output = Files.createTempDirectory("peak").resolve("made");
        Path log = output.resolveSibling("log.txt");
        List<String> command =
                new ArrayList<>(List.of(System.getenv().getOrDefault("LITHE", "target/lithe"), "compress"));
        command.addAll(Arrays.asList(arguments));
        command.addAll(List.of("--no-evaluate", "-o", output.toString()));
        Process process =
                new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log.toFile()).start();
        Path status = Path.of("/proc/" + process.pid() + "/status");
        long started = 0;
        long peak = 0;
        long planned = 0;
        while (process.isAlive()) {
            long now = anonymous(status);
            if (planned == 0) {
                started = now;
                planned = Files.readString(log).contains("peak memory") ? System.nanoTime() : 0;
            }
            peak = Math.max(peak, now);
            Thread.sleep(SAMPLE_MILLIS);
        }
        double seconds = (System.nanoTime() - planned) / 1e9;
        String said = Files.readString(log);
        delete(output.getParent());
        Matcher plan = PLAN.matcher(said);
        if (process.exitValue() != 0 || !plan.find()) {
            System.err.println(said);
            System.exit(1);
        }
        double unit = Math.pow(1000, "kMGT".indexOf(plan.group(2)) + 1);
        double estimate = Double.parseDouble(plan.group(1)) * unit;
        double time =
                Double.parseDouble(plan.group(3))
                        * switch (plan.group(4)) {
                            case "s" -> 1;
                            case "min" -> 60;
                            default -> 3600;
                        };
        System.out.print(said);
        System.out.printf(
                Locale.ROOT,
                "%nmemory     estimated %.0f MB, measured %.0f MB beyond %.0f MB at the start, ratio %.2f%n"
                        + "time       estimated %.1f s, measured %.1f s, ratio %.2f%n",
                estimate / 1e6, (peak - started) / 1e6, started / 1e6, estimate / (peak - started),
                time, seconds, time / seconds);
    }

    private static long anonymous(Path status) throws IOException {
        try (Stream<String> lines = Files.lines(status)) {
            return lines.filter(line -> line.startsWith("RssAnon:"))
                    .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) * 1024)
                    .findFirst()
                    .orElse(0);
        } catch (IOException | java.io.UncheckedIOException e) {
            return 0; // it has just ended
        }
    }

    private static void delete(Path tree) throws IOException {
        try (Stream<Path> paths = Files.walk(tree)) {
            for (Path path : paths.toList().reversed()) {
                Files.delete(path);
            }
        }
    }
}
