package dev.lithe.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.lithe.fault.LitheException;
import io.grpc.Status;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/// What is said of times that are known.
class BenchResultTest {
    private static final int REQUESTS = 20;
    private static final int TOKENS = 5;

    private static BenchPlan plan(int requests, BenchLoad load, BenchGoal goal) {
        return new BenchPlan(
                "x", List.of("original"), List.of(load), requests, 8, TOKENS, 1, 0, 100, goal);
    }

    private static RequestTimes answered(double first, double perToken) {
        double[] gaps = new double[TOKENS - 1];
        Arrays.fill(gaps, perToken);
        double whole = first + perToken * (TOKENS - 1);
        return new RequestTimes(Status.Code.OK, "", 0, first, whole, gaps, TOKENS);
    }

    private static RequestTimes failed(Status.Code status) {
        return new RequestTimes(status, "too much", 0, 0, 0, new double[0], 0);
    }

    /// Times that vary by a tenth from request to request, one a round.
    private static BenchSamples samples(double middle) {
        return new BenchSamples(
                IntStream.range(0, REQUESTS)
                        .mapToDouble(i -> middle * (0.95 + 0.1 * i / (REQUESTS - 1)))
                        .mapToObj(time -> answered(time, time))
                        .map(times -> new BenchSamples.Round(List.of(times), times.whole()))
                        .toList());
    }

    @Test
    void theIntervalDecides() {
        SequencedMap<String, BenchSamples> measured = new LinkedHashMap<>();
        measured.put("original", samples(10));
        measured.put("half", samples(5));
        measured.put("double", samples(20));
        var alone = new BenchLoad.Streams(1);
        var result =
                new BenchResult(
                        plan(REQUESTS, alone, BenchGoal.of(Map.of())),
                        List.of(new BenchLevel(alone, measured, samples(10))));
        String[] rows = result.table().split("ratio of medians", -1)[1].split("\\R", -1);
        assertThat(rows[1]).isEqualTo("original (again)");
        assertThat(rows[2]).contains("1.000 [", "no detectable difference");
        assertThat(rows[6]).isEqualTo("half");
        assertThat(rows[7]).contains("time to first token", "0.500 [").endsWith(" faster");
        assertThat(rows[10]).contains("tokens per second", "2.000 [").endsWith(" faster");
        assertThat(rows[11]).isEqualTo("double");
        assertThat(rows[12]).contains("2.000 [").endsWith(" slower");
        assertThat(rows[15]).contains("tokens per second", "0.500 [").endsWith(" slower");
    }

    /// 100 requests of 1 to 100 ms in two rounds of 1 s each, two of them failed.
    @Test
    void countsWhatFailsAndWhatIsServedWell() throws IOException {
        List<RequestTimes> times =
                IntStream.rangeClosed(1, 98)
                        .mapToObj(i -> answered(i, 1))
                        .collect(Collectors.toCollection(ArrayList::new));
        times.add(failed(Status.Code.RESOURCE_EXHAUSTED));
        times.add(failed(Status.Code.DEADLINE_EXCEEDED));
        var samples =
                new BenchSamples(
                        List.of(
                                new BenchSamples.Round(times.subList(0, 50), 1000),
                                new BenchSamples.Round(times.subList(50, 100), 1000)));
        SequencedMap<String, BenchSamples> measured = new LinkedHashMap<>();
        measured.put("original", samples);
        var load = new BenchLoad.Rate(50);
        var result =
                new BenchResult(
                        plan(100, load, BenchGoal.of(Map.of("ttft", 40.0, "tpot", 2.0))),
                        List.of(new BenchLevel(load, measured, samples)));
        JsonNode level = new JsonMapper().readTree(result.json()).get("levels").get(0);
        JsonNode variant = level.get("variants").get(0);
        assertThat(level.get("rate").asDouble()).isEqualTo(50);
        assertThat(variant.get("completed").asInt()).isEqualTo(98);
        assertThat(variant.get("failed").get("DEADLINE_EXCEEDED").asInt()).isEqualTo(1);
        assertThat(variant.get("failed").get("RESOURCE_EXHAUSTED").asInt()).isEqualTo(1);
        assertThat(variant.get("ttft_ms").get("p50").asDouble()).isEqualTo(49.5);
        assertThat(variant.get("ttft_ms").get("p99").asDouble()).isBetween(97.0, 98.0);
        assertThat(variant.get("itl_ms").get("p99").asDouble()).isEqualTo(1);
        assertThat(variant.get("e2e_ms").get("p50").asDouble()).isEqualTo(53.5);
        assertThat(variant.get("requests_per_second").asDouble()).isEqualTo(49);
        assertThat(variant.get("tokens_per_second").asDouble()).isEqualTo(49 * TOKENS);
        assertThat(variant.get("goodput_per_second").asDouble()).isEqualTo(20);
        assertThat(variant.get("goodput_part").asDouble()).isEqualTo(0.4);
        assertThat(result.table())
                .contains("20.00 a second, 40.0 % (ttft 40 ms, tpot 2 ms)")
                .containsPattern("failed +1 DEADLINE_EXCEEDED: too much");
    }

    @Test
    void noAnswerAtAllIsAFault() {
        var samples =
                new BenchSamples(
                        List.of(
                                new BenchSamples.Round(
                                        List.of(failed(Status.Code.UNAVAILABLE)), 1)));
        SequencedMap<String, BenchSamples> measured = new LinkedHashMap<>();
        measured.put("original", samples);
        var alone = new BenchLoad.Streams(1);
        var result =
                new BenchResult(
                        plan(1, alone, BenchGoal.of(Map.of())),
                        List.of(new BenchLevel(alone, measured, samples)));
        assertThatThrownBy(result::requireAnswers)
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("UNAVAILABLE (too much)");
        assertThat(result.table()).containsPattern("failed +1 UNAVAILABLE");
        assertThat(result.json()).doesNotContain("ttft_ms");
    }

    @Test
    void roundsKeepTheLoad() {
        var four = new BenchLoad.Streams(4);
        BenchGoal none = BenchGoal.of(Map.of());
        assertThat(plan(0, four, none).rounds(four)).hasSize(10).containsOnly(16);
        assertThat(plan(33, four, none).rounds(four)).containsExactly(9, 8, 8, 8);
        assertThat(plan(5, four, none).rounds(four)).containsExactly(5);
        var alone = new BenchLoad.Streams(1);
        assertThat(plan(0, alone, none).rounds(alone)).hasSize(20).containsOnly(1);
    }
}
