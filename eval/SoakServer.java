import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// The process under test, seen from outside: its memory, threads, files and slots.
record SoakServer(long pid, int grpcPort, int httpPort) {
    private static final HttpClient HTTP = HttpClient.newHttpClient();

    /// How it stands at one moment.
    ///
    /// @param minutes since the start
    /// @param heap megabytes of Java objects after a collection
    /// @param committed megabytes that the JVM counts as its own, heap included
    /// @param resident megabytes of the process, libtorch's and the kernels' included
    /// @param processor seconds that the process has computed
    /// @param running requests that are computed
    /// @param waiting requests that wait
    record Sample(
            double minutes, double heap, double committed, double resident, double processor, int threads, int files,
            double running, double waiting) {}

    Sample sample(double minutes) throws IOException, InterruptedException {
        jcmd("GC.run");
        String metrics = metrics();
        return new Sample(
                minutes,
                number(jcmd("GC.heap_info"), "used (\\d+)K", true) / 1024,
                number(jcmd("VM.native_memory", "summary"), "Total:.*?committed=(\\d+)KB", false) / 1024,
                number(Files.readString(proc("status")), "VmRSS:\\s+(\\d+)", false) / 1024,
                processor(),
                (int) number(Files.readString(proc("status")), "Threads:\\s+(\\d+)", false),
                files(),
                number(metrics, "(?m)^lithe_num_requests_running(?:\\{.*\\})? (\\S+)", false),
                number(metrics, "(?m)^lithe_num_requests_waiting(?:\\{.*\\})? (\\S+)", false));
    }

    private Path proc(String name) {
        return Path.of("/proc", Long.toString(pid), name);
    }

    private double processor() throws IOException {
        String[] fields = Files.readString(proc("stat")).replaceFirst(".*\\) ", "").split(" ");
        return (Double.parseDouble(fields[11]) + Double.parseDouble(fields[12])) / 100; // user and system, in ticks
    }

    private int files() throws IOException {
        try (var open = Files.list(proc("fd"))) {
            return (int) open.count();
        }
    }

    private String jcmd(String... command) throws IOException, InterruptedException {
        String jcmd = Path.of(System.getProperty("java.home"), "bin", "jcmd").toString();
        var all = new ArrayList<>(List.of(jcmd, Long.toString(pid)));
        all.addAll(List.of(command));
        Process process = new ProcessBuilder(all).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        process.waitFor();
        return output;
    }

    private String metrics() throws IOException, InterruptedException {
        var request = HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + httpPort + "/q/metrics")).build();
        return HTTP.send(request, BodyHandlers.ofString()).body();
    }

    /// The number that a pattern's group matches, or the sum of all of them.
    private static double number(String text, String pattern, boolean sum) {
        Matcher matcher = Pattern.compile(pattern).matcher(text);
        double value = 0;
        if (!matcher.find()) {
            throw new IllegalStateException("no " + pattern + " in: " + text);
        }
        do {
            value += Double.parseDouble(matcher.group(1));
        } while (sum && matcher.find());
        return value;
    }
}
