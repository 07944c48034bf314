package dev.lithe.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.lithe.PlainLoop;
import dev.lithe.engine.Engine;
import dev.lithe.engine.EngineLimits;
import dev.lithe.evaluate.Bootstrap;
import dev.lithe.route.Router;
import dev.lithe.route.Variant;
import dev.lithe.serve.Serving;
import dev.lithe.tensor.Device;
import io.quarkus.grpc.runtime.GrpcServer;
import io.quarkus.test.junit.QuarkusTest;
import jakarta.inject.Inject;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;

/// The commands that call a server, against one.
@QuarkusTest
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class ClientCommandsTest {
    @Inject Serving serving;
    @Inject GrpcServer grpc;
    private Variant variant;
    private Engine engine;

    private record Result(int code, String out, String err) {}

    @BeforeAll
    void start() {
        variant = Variant.open("original", Path.of("src/main/resources/demo"), Device.CPU);
        var other = new Variant("other", variant.model(), variant.memoryBytes());
        engine = new Engine(EngineLimits.DEFAULT);
        var router = new Router(List.of(variant, other), Map.of(), new SplittableRandom(1));
        serving.publish(new Serving.Models(router, engine));
    }

    @AfterAll
    void stop() {
        serving.withdraw();
        engine.close();
        variant.close();
    }

    private static Result run(String... arguments) {
        var out = new StringWriter();
        var err = new StringWriter();
        CommandLine command = Main.commandLine();
        command.setOut(new PrintWriter(out)).setErr(new PrintWriter(err));
        int code = command.execute(arguments);
        command.getOut().flush();
        command.getErr().flush();
        return new Result(code, out.toString(), err.toString());
    }

    private String target() {
        return "127.0.0.1:" + grpc.getPort();
    }

    @Test
    void generatePrintsTheText() {
        int[] prompt = variant.model().tokenizer().encode("Once upon a time", true);
        int[] ids = PlainLoop.greedy(variant.model().decoder(), prompt, 12);
        Result result =
                run(
                        "generate",
                        "Once upon a time",
                        "--target",
                        target(),
                        "--max-tokens=12",
                        "--ignore-eos",
                        "--variant=other");
        assertThat(result.err()).startsWith("other · 12 tokens (length)");
        assertThat(result.out())
                .isEqualTo(variant.model().tokenizer().decode(ids) + System.lineSeparator());
        assertThat(result.code()).isZero();
    }

    @Test
    void generateAsJson() throws IOException {
        Result result =
                run(
                        "generate",
                        "Once",
                        "--json",
                        "--target=" + target(),
                        "--seed=4",
                        "--temperature=0.7",
                        "--max-tokens=5",
                        "--ignore-eos");
        JsonNode json = new JsonMapper().readTree(result.out());
        assertThat(json.get("seed").asLong()).isEqualTo(4);
        assertThat(json.get("token_ids")).hasSize(5);
        assertThat(result.err()).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(strings = {"--top-p=2", "--variant=nope", "--target=nowhere", "--target=a:99999"})
    void badInputIsOneLineAndTwo(String option) {
        Result result = run("generate", "x", "--target=" + target(), option);
        if (option.startsWith("--target")) {
            result = run("generate", "x", option);
        }
        assertThat(result.code()).isEqualTo(2);
        assertThat(result.err().lines()).hasSize(1);
        assertThat(result.out()).isEmpty();
    }

    @Test
    void noServerIsOneLineAndOne() throws IOException {
        int free;
        try (var socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            free = socket.getLocalPort();
        }
        for (String command : List.of("generate x", "bench")) {
            Result result = run((command + " --target=127.0.0.1:" + free).split(" "));
            assertThat(result.code()).isEqualTo(1);
            assertThat(result.err()).contains("127.0.0.1:" + free, "lithe serve");
            assertThat(result.err().lines()).hasSize(1);
        }
    }

    @Test
    void benchComparesTheVariants() throws IOException {
        String[] arguments = {
            "bench",
            "--target=" + target(),
            "--variants=other,original",
            "--requests=" + Bootstrap.FEWEST_SAMPLES,
            "--warmup=1",
            "--prompt-tokens=5",
            "--tokens=4"
        };
        long before = engine.steps();
        Result table = run(arguments);
        assertThat(table.err()).isEmpty();
        assertThat(table.code()).isZero();
        assertThat(table.out())
                .contains(Bootstrap.FEWEST_SAMPLES + " requests per variant", "other (again)")
                .containsPattern("time per token +p50 +[0-9.]+ ms")
                .containsPattern(
                        "time per token +[0-9.]+ \\[[0-9.]+, [0-9.]+\\] +"
                                + "(faster|slower|no detectable difference)");
        assertThat(engine.steps() - before).isEqualTo(3 * (Bootstrap.FEWEST_SAMPLES + 1) * 4);
        String[] asJson = Arrays.copyOf(arguments, arguments.length + 1);
        asJson[arguments.length] = "--json";
        JsonNode json = new JsonMapper().readTree(run(asJson).out());
        assertThat(json.get("schema").asText()).isEqualTo("lithe.bench/v1");
        assertThat(json.get("variants").get(0).get("name").asText()).isEqualTo("other");
        assertThat(json.get("variants").get(0).get("ttft_ms").has("ratio")).isFalse();
        assertThat(json.get("variants").get(1).get("tpot_ms").get("p95").asDouble()).isPositive();
        for (JsonNode compared : List.of(json.get("variants").get(1), json.get("control"))) {
            JsonNode times = compared.get("tpot_ms");
            double ratio = times.get("ratio").asDouble();
            assertThat(times.get("interval").get(0).asDouble()).isLessThanOrEqualTo(ratio);
            assertThat(times.get("interval").get(1).asDouble()).isGreaterThanOrEqualTo(ratio);
            assertThat(times.get("verdict").asText()).isNotEmpty();
        }
    }

    @Test
    void benchSweepsLoads() throws IOException {
        String[] load = {"--concurrency=1,3", "--rate=100"};
        for (String each : load) {
            long before = engine.steps();
            Result result =
                    run(
                            "bench",
                            "--target=" + target(),
                            each,
                            "--requests=12",
                            "--warmup=0",
                            "--variants=other,original",
                            "--goodput=ttft=60000",
                            "--prompt-tokens=5",
                            "--tokens=4",
                            "--json");
            assertThat(result.err()).isEmpty();
            JsonNode levels = new JsonMapper().readTree(result.out()).get("levels");
            assertThat(levels).hasSize(each.contains(",") ? 2 : 1);
            for (JsonNode level : levels) {
                assertThat(level.get("control").get("completed").asInt()).isEqualTo(12);
                for (JsonNode variant : level.get("variants")) {
                    assertThat(variant.get("completed").asInt()).isEqualTo(12);
                    assertThat(variant.get("failed")).isEmpty();
                    assertThat(variant.get("goodput_part").asDouble()).isEqualTo(1);
                    JsonNode whole = variant.get("e2e_ms");
                    assertThat(whole.get("p50").asDouble())
                            .isGreaterThan(variant.get("ttft_ms").get("p50").asDouble())
                            .isLessThanOrEqualTo(whole.get("p99").asDouble());
                    assertThat(variant.get("itl_ms").get("p50").asDouble()).isPositive();
                }
            }
            assertThat(engine.steps() - before).isPositive();
        }
    }

    @Test
    void benchMayFillTheContext() {
        Result result =
                run(
                        "bench",
                        "--target=" + target(),
                        "--requests=1",
                        "--warmup=0",
                        "--variants=other,other",
                        "--prompt-tokens=509",
                        "--tokens=4");
        assertThat(result.err()).isEmpty();
        assertThat(result.out()).contains("too few for an interval");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "bench --requests=0",
                "bench --requests=10001",
                "bench --prompt-tokens=510 --tokens=4",
                "bench --tokens=1",
                "bench --prompt-tokens=500",
                "bench --variants=nope",
                "bench --concurrency=0",
                "bench --concurrency=2,1025",
                "bench --concurrency=4 --requests=3",
                "bench --concurrency=2 --rate=4",
                "bench --rate=0",
                "bench --rate=NaN",
                "bench --goodput=ttft=0",
                "bench --goodput=itl=5",
                "bench --timeout=0"
            })
    void benchRefusesWhatItCannotMeasure(String line) {
        Result result = run((line + " --target=" + target()).split(" "));
        assertThat(result.code()).isEqualTo(2);
        assertThat(result.err().lines()).hasSize(1);
    }
}
