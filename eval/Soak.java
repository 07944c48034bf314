import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.ToDoubleFunction;

/// Puts a server under clients of every kind for some minutes, and checks from outside that nothing
/// of it grows, hangs, or answers what is not documented. See `eval/soak`.
public final class Soak {
    private static final int CLIENTS = 32;
    private static final double SETTLED = 0.2; // of the time
    private static final int QUIET_SECONDS = 20;

    private final SoakServer server;
    private final double minutes;
    private final Map<SoakClient.Kind, Map<String, LongAdder>> ends = new ConcurrentSkipListMap<>();
    private final AtomicInteger failed = new AtomicInteger();
    private final List<SoakServer.Sample> samples = new ArrayList<>();
    private final List<String> checks = new ArrayList<>();

    private Soak(SoakServer server, double minutes) {
        this.server = server;
        this.minutes = minutes;
    }

    /// @param arguments process id, gRPC port, HTTP port, minutes, seed
    public static void main(String[] arguments) throws Exception {
        var server = new SoakServer(Long.parseLong(arguments[0]), Integer.parseInt(arguments[1]), Integer.parseInt(arguments[2]));
        var soak = new Soak(server, Double.parseDouble(arguments[3]));
        long seed = Long.parseLong(arguments[4]);
        boolean passed = soak.run(seed);
        System.out.print(soak.report(seed));
        System.exit(passed ? 0 : 1);
    }

    private boolean run(long seed) throws Exception {
        long start = System.nanoTime();
        long end = start + (long) (minutes * 60e9);
        List<Thread> clients = new ArrayList<>();
        for (int i = 0; i < CLIENTS; i++) {
            var client = new SoakClient(server, seed * 1000 + i);
            clients.add(Thread.startVirtualThread(() -> act(client, end)));
        }
        double step = Math.max(0.1, minutes / 40);
        for (double at = step; System.nanoTime() < end; at += step) {
            long due = start + (long) (at * 60e9);
            Thread.sleep(Math.max(0, (due - System.nanoTime()) / 1_000_000));
            sample((System.nanoTime() - start) / 60e9);
        }
        for (Thread client : clients) {
            client.join();
        }
        boolean quiet = false;
        for (int i = 0; i < QUIET_SECONDS && !quiet; i++) {
            Thread.sleep(1000);
            SoakServer.Sample now = server.sample(minutes);
            quiet = now.running() == 0 && now.waiting() == 0;
        }
        check("every call ended as documented", failed.get() == 0, failed + " did not");
        check("no request is left", quiet, "after " + QUIET_SECONDS + " s");
        // What requests on their way hold comes and goes; what is left when all is quiet is what stays.
        double early = values(SoakServer.Sample::heap, SETTLED, 2 * SETTLED)[0];
        double left = server.sample(minutes).heap();
        check("heap when all is quiet, MB", left <= 1.1 * early + 4, String.format(Locale.ROOT, "%.1f, the least early on %.1f", left, early));
        flat("memory of the JVM, MB", 0.5, SoakServer.Sample::committed, 0.05, 8);
        flat("resident memory, MB", 0.5, SoakServer.Sample::resident, 0.05, 16);
        flat("threads", 0.5, SoakServer.Sample::threads, 0, 4);
        flat("open files", 0.5, SoakServer.Sample::files, 0.1, 16);
        return checks.stream().allMatch(each -> each.contains("| yes |"));
    }

    private void act(SoakClient client, long end) {
        try (client) {
            while (System.nanoTime() < end) {
                SoakClient.Kind kind = client.draw();
                String how;
                try {
                    how = client.act(kind);
                } catch (IOException | RuntimeException e) {
                    how = e.toString();
                }
                ends.computeIfAbsent(kind, _ -> new ConcurrentSkipListMap<>())
                        .computeIfAbsent(how, _ -> new LongAdder())
                        .increment();
                if (!kind.ends.contains(how)) {
                    failed.incrementAndGet();
                    System.err.println(kind + " ended with " + how);
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void sample(double at) throws IOException, InterruptedException {
        SoakServer.Sample sample = server.sample(at);
        samples.add(sample);
        System.err.println(sample);
    }

    private void check(String what, boolean holds, String how) {
        checks.add(String.format(Locale.ROOT, "| %s | %s | %s |", what, holds ? "yes" : "NO", how));
    }

    /// Compares the last fifth with the second fifth of the time.
    ///
    /// @param place which of the samples in ascending order: 0 the least, 0.5 the median
    private void flat(String what, double place, ToDoubleFunction<SoakServer.Sample> measure, double part, double room) {
        double[] early = values(measure, SETTLED, 2 * SETTLED);
        double[] late = values(measure, 1 - SETTLED, 1.1);
        if (early.length == 0 || late.length == 0) {
            check(what + " is flat", false, "too few samples");
            return;
        }
        double before = early[(int) (place * (early.length - 1))];
        double after = late[(int) (place * (late.length - 1))];
        double most = before * (1 + part) + room;
        check(what + " is flat", after <= most, String.format(Locale.ROOT, "%.1f, at the end %.1f; at most %.1f", before, after, most));
    }

    private double[] values(ToDoubleFunction<SoakServer.Sample> measure, double from, double to) {
        return samples.stream()
                .filter(each -> each.minutes() >= from * minutes && each.minutes() < to * minutes)
                .mapToDouble(measure)
                .sorted()
                .toArray();
    }

    private String report(long seed) {
        var text = new StringBuilder();
        text.append(String.format(Locale.ROOT, "%d clients, %.1f minutes, seed %d.%n%n", CLIENTS, minutes, seed));
        text.append("| check | holds | figures |\n|---|---|---|\n");
        checks.forEach(each -> text.append(each).append('\n'));
        text.append("\n| what clients did | calls | how they ended |\n|---|---|---|\n");
        ends.forEach((kind, how) -> {
            long calls = how.values().stream().mapToLong(LongAdder::sum).sum();
            text.append(String.format("| %s | %d | %s |%n", kind.name().toLowerCase(Locale.ROOT).replace('_', ' '), calls, new TreeMap<>(how)));
        });
        text.append("\n| minute | heap, MB | JVM, MB | resident, MB | processor, s | threads | files | running | waiting |\n");
        text.append("|---|---|---|---|---|---|---|---|---|\n");
        int every = Math.max(1, samples.size() / 10);
        for (int i = every - 1; i < samples.size(); i += every) {
            SoakServer.Sample s = samples.get(i);
            text.append(String.format(Locale.ROOT, "| %.1f | %.1f | %.1f | %.1f | %.0f | %d | %d | %.0f | %.0f |%n", s.minutes(), s.heap(),
                    s.committed(), s.resident(), s.processor(), s.threads(), s.files(), s.running(), s.waiting()));
        }
        return text.toString();
    }
}
