package dev.lithe.report;

import dev.lithe.report.Report.BitsPerCharacter;
import dev.lithe.report.Report.Divergence;
import dev.lithe.report.Report.Environment;
import dev.lithe.report.Report.Evaluation;
import dev.lithe.report.Report.Latency;
import dev.lithe.report.Report.LatencySettings;
import dev.lithe.report.Report.Layer;
import dev.lithe.report.Report.Model;
import dev.lithe.report.Report.Noise;
import dev.lithe.report.Report.Perplexity;
import dev.lithe.report.Report.Ratio;
import dev.lithe.report.Report.Ratios;
import dev.lithe.report.Report.Spread;
import dev.lithe.report.Report.Text;
import dev.lithe.report.Report.Variant;
import java.util.List;
import java.util.Map;

/// Reports with invented numbers.
public final class SampleReport {
    private static final String VERDICT = "no detectable difference";

    private SampleReport() {}

    /// An original and one compressed model, everything measured.
    public static Report complete() {
        return new Report(
                Report.SCHEMA,
                model(),
                environment(),
                new Evaluation(
                        new Text("held-out.txt", "0a".repeat(32)),
                        8_192,
                        8_160,
                        32,
                        256,
                        "all",
                        0,
                        2000,
                        new Text("calibration.txt", "0b".repeat(32)),
                        new LatencySettings(
                                20,
                                64,
                                64,
                                new Noise(
                                        new Ratio(1.004, 0.97, 1.03, VERDICT),
                                        new Ratio(0.998, 0.99, 1.01, VERDICT)))),
                List.of(original(latency(4.1, 1.9)), compressed()),
                List.of(
                        new Report.Continuation(
                                "Once <upon>", List.of(" a time & a half", " a dime"))));
    }

    /// One model, scored on too few windows for an interval and not timed.
    public static Report alone() {
        return new Report(
                Report.SCHEMA,
                model(),
                environment(),
                new Evaluation(
                        new Text("held-out.txt", "0a".repeat(32)),
                        512,
                        510,
                        2,
                        256,
                        "all",
                        0,
                        2000,
                        null,
                        null),
                List.of(original(null)),
                List.of());
    }

    private static Model model() {
        return new Model("demo", "LlamaForCausalLM", 7_212_288, "demo");
    }

    private static Environment environment() {
        return new Environment(
                "0.1.0",
                "25.0.3",
                "Linux 6.1 amd64",
                "Some Processor",
                2,
                2,
                "2.7.1",
                "cpu",
                "float32",
                "2026-11-23T12:00:00Z");
    }

    private static Variant original(Latency latency) {
        boolean timed = latency != null;
        return new Variant(
                "original",
                "demo",
                14_430_688,
                14_666_000,
                7_212_288,
                16.0,
                26_800_000,
                12_288,
                new Perplexity(5.42, 8_160, 256, timed ? 5.1 : null, timed ? 5.8 : null),
                null,
                null,
                latency,
                null,
                null,
                Map.of("float16", 43),
                Map.of("float32", 25),
                List.of(),
                List.of(),
                null,
                new BitsPerCharacter(0.75, 30_000, timed ? 0.74 : null, timed ? 0.76 : null),
                List.of());
    }

    private static Variant compressed() {
        return new Variant(
                "compressed",
                "out/demo-int4",
                4_608_256,
                4_800_000,
                7_212_288,
                5.11,
                5_900_000,
                12_288,
                new Perplexity(5.49, 8_160, 256, 5.15, 5.9),
                new Divergence(0.00612, 0.0573),
                0.959,
                latency(2.2, 1.1),
                3.8,
                "gptq:bits=4,group_size=64",
                Map.of("int4 group 64", 42, "float16", 1),
                Map.of("int4 grouped", 24, "float32", 1),
                List.of(
                        new Layer(
                                "model.layers.0.self_attn.q_proj",
                                "int4 group 64",
                                0.0612,
                                "outputs",
                                0.0893,
                                null),
                        new Layer("lm_head", "float16", null, null, null, null)),
                List.of(
                        new Report.Stage("original", 14_430_688, 1.0, 0.0),
                        new Report.Stage("depth_prune", 12_000_000, 1.009, 0.0031),
                        new Report.Stage("gptq", 4_608_256, 1.0131, 0.0062)),
                new Ratios(
                        new Ratio(0.319, null, null, null),
                        new Ratio(1.0129, 1.0108, 1.0151, null),
                        new Ratio(0.537, 0.51, 0.58, "faster"),
                        new Ratio(0.579, 0.55, 0.61, "faster"),
                        new Ratio(1.008, 1.006, 1.01, null)),
                new BitsPerCharacter(0.756, 30_000, 0.746, 0.766),
                List.of(
                        new Report.Training(
                                "heal",
                                20,
                                2048,
                                List.of(List.of(10.0, 0.4), List.of(20.0, 0.25)),
                                List.of(List.of(0.0, 0.5), List.of(20.0, 0.2)))));
    }

    private static Latency latency(double first, double next) {
        return new Latency(
                new Spread(first, 2 * first, 3 * first),
                new Spread(next, 2 * next, 3 * next),
                500,
                new Report.Samples(
                        List.of(first, 2 * first, 3 * first), List.of(next, 2 * next, 3 * next)));
    }
}
