import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/// Two servers of the same weights side by side, over OpenAI's HTTP: a number of streams that ask
/// again once they are answered, the same lengths, in turn and in an order drawn anew. Prompts are
/// random token ids, none the same, answers are streamed and end at a number of tokens.
///
///     java eval/HttpBench.java NAME=URL NAME=URL LABEL ROUNDS PROMPT_TOKENS TOKENS STREAMS...
///
/// Prints a row of Markdown per number of streams: median and range over the rounds, and the ratios
/// of the first server to the second, round by round.
public final class HttpBench {
    private static final int VOCABULARY = 4096; // what the tokenizer knows, in both forms
    private static final int EACH = 3; // requests of each stream in a round
    private static final Pattern USAGE = Pattern.compile("\"completion_tokens\":\\s*(\\d+)");

    private final HttpClient http = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private final Random random = new Random(0);
    private final int promptTokens;
    private final int tokens;

    private record Server(String name, URI url) {}

    /// @param first milliseconds to the first event, of each request
    private record Round(double tokensPerSecond, List<Double> first) {}

    private HttpBench(int promptTokens, int tokens) {
        this.promptTokens = promptTokens;
        this.tokens = tokens;
    }

    public static void main(String[] arguments) throws InterruptedException {
        List<Server> servers = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            String[] parts = arguments[i].split("=", 2);
            servers.add(new Server(parts[0], URI.create(parts[1] + "/v1/completions")));
        }
        var bench = new HttpBench(Integer.parseInt(arguments[4]), Integer.parseInt(arguments[5]));
        for (int i = 6; i < arguments.length; i++) {
            bench.compare(arguments[2], servers, Integer.parseInt(arguments[3]), Integer.parseInt(arguments[i]));
        }
    }

    private void compare(String label, List<Server> servers, int rounds, int streams) throws InterruptedException {
        List<List<Round>> results = List.of(new ArrayList<>(), new ArrayList<>());
        List<Integer> order = new ArrayList<>(List.of(0, 1));
        for (int round = -1; round < rounds; round++) { // the first warms up
            Collections.shuffle(order, random);
            for (int which : order) {
                Round result = run(servers.get(which), streams);
                if (round >= 0) {
                    results.get(which).add(result);
                }
            }
        }
        var rates = results.stream().map(all -> all.stream().map(Round::tokensPerSecond).toList()).toList();
        var firsts = results.stream().map(all -> all.stream().map(each -> middle(each.first())).toList()).toList();
        System.out.printf(
                Locale.ROOT, "| %s | %d | %s | %s | %s | %s | %s | %s |%n", label, streams, range(rates.get(0)), range(rates.get(1)),
                ratio(rates), range(firsts.get(0)), range(firsts.get(1)), ratio(firsts));
    }

    private static String range(List<Double> values) {
        return String.format(Locale.ROOT, "%.0f [%.0f, %.0f]", middle(values), Collections.min(values), Collections.max(values));
    }

    private static String ratio(List<List<Double>> values) {
        List<Double> ratios = new ArrayList<>();
        for (int i = 0; i < values.get(0).size(); i++) {
            ratios.add(values.get(0).get(i) / values.get(1).get(i));
        }
        return String.format(Locale.ROOT, "%.2f [%.2f, %.2f]", middle(ratios), Collections.min(ratios), Collections.max(ratios));
    }

    private static double middle(List<Double> values) {
        List<Double> sorted = values.stream().sorted().toList();
        return sorted.get(sorted.size() / 2);
    }

    private Round run(Server server, int streams) throws InterruptedException {
        List<String> bodies = new ArrayList<>();
        for (int i = 0; i < streams * EACH; i++) {
            bodies.add(body());
        }
        List<Double> first = Collections.synchronizedList(new ArrayList<>());
        List<Thread> threads = new ArrayList<>();
        long start = System.nanoTime();
        for (int stream = 0; stream < streams; stream++) {
            List<String> mine = bodies.subList(stream * EACH, (stream + 1) * EACH);
            threads.add(Thread.startVirtualThread(() -> mine.forEach(each -> first.add(answered(server, each)))));
        }
        for (Thread thread : threads) {
            thread.join();
        }
        double seconds = (System.nanoTime() - start) / 1e9;
        if (first.size() != bodies.size()) {
            throw new IllegalStateException(server.name() + " answered " + first.size() + " of " + bodies.size());
        }
        return new Round(bodies.size() * tokens / seconds, List.copyOf(first));
    }

    private String body() {
        String ids = random.ints(promptTokens, 10, VOCABULARY).mapToObj(Integer::toString).collect(Collectors.joining(","));
        return "{\"prompt\":[" + ids + "],\"max_tokens\":" + tokens
                + ",\"ignore_eos\":true,\"temperature\":0,\"stream\":true,\"stream_options\":{\"include_usage\":true},\"cache_prompt\":false}";
    }

    /// Asks once more where a connection was closed that had served before: llama-server closes each after a number of requests.
    private double answered(Server server, String body) {
        try {
            return ask(server, body);
        } catch (UncheckedIOException e) {
            return ask(server, body);
        }
    }

    private double ask(Server server, String body) {
        var request = HttpRequest.newBuilder(server.url()).header("content-type", "application/json").POST(BodyPublishers.ofString(body)).build();
        long sent = System.nanoTime();
        double first = 0;
        int came = 0;
        try {
            HttpResponse<InputStream> response = http.send(request, BodyHandlers.ofInputStream());
            try (var lines = new BufferedReader(new InputStreamReader(response.body(), StandardCharsets.UTF_8))) {
                for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                    if (response.statusCode() != 200) {
                        throw new IllegalStateException(server.name() + ": " + response.statusCode() + " " + line);
                    }
                    if (first == 0 && line.startsWith("data:")) {
                        first = (System.nanoTime() - sent) / 1e6;
                    }
                    Matcher usage = USAGE.matcher(line);
                    came = usage.find() ? Integer.parseInt(usage.group(1)) : came;
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        if (came != tokens) {
            throw new IllegalStateException(server.name() + " generated " + came + " tokens instead of " + tokens);
        }
        return first;
    }
}
