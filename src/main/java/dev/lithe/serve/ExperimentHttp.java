package dev.lithe.serve;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.checkpoint.Sha256;
import dev.lithe.fault.LitheException;
import dev.lithe.report.ReportFolder;
import dev.lithe.route.SampleRatio;
import io.vertx.ext.web.Router;
import io.vertx.ext.web.RoutingContext;
import io.vertx.ext.web.handler.BodyHandler;
import jakarta.enterprise.event.Observes;
import jakarta.inject.Singleton;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/// What the page at `/` needs beside completions: `GET /v1/split` and `PUT /v1/split`, the
/// `GetSplit` and `SetSplit` of `lithe.v1.ExperimentService` as JSON, which also says whether there
/// is a report, and `GET /v1/report`, the `report.html` beside the served models.
@Singleton
class ExperimentHttp {
    private static final JsonMapper JSON = new JsonMapper();

    private static final Pattern STYLE = Pattern.compile("<style>(.*?)</style>", Pattern.DOTALL);

    private final Serving serving;
    private final Preparation preparation;
    private final Experiments experiments;

    ExperimentHttp(Serving serving, Preparation preparation, Experiments experiments) {
        this.serving = serving;
        this.preparation = preparation;
        this.experiments = experiments;
    }

    void routes(@Observes Router router) {
        router.get("/v1/split").handler(this::split);
        router.put("/v1/split")
                .handler(BodyHandler.create(false).setBodyLimit(OpenAiHttp.MAX_BODY))
                .handler(AccessHttp::requireAdmin)
                .handler(this::reweigh);
        router.get("/v1/report").handler(this::report);
    }

    private void split(RoutingContext context) {
        var call = new HttpCall(context, () -> {});
        preparation.run(call, 0, () -> call.answer(json(serving.models().router())));
    }

    private void reweigh(RoutingContext context) {
        var call = new HttpCall(context, () -> {});
        var body = context.body().buffer();
        byte[] bytes = body == null ? new byte[0] : body.getBytes();
        preparation.run(
                call,
                bytes.length,
                () -> {
                    Map<String, Double> weights = weights(bytes);
                    Serving.Models models = serving.models();
                    models.reweigh(weights);
                    call.answer(json(models.router()));
                });
    }

    private static Map<String, Double> weights(byte[] body) {
        try {
            JsonNode given =
                    JSON.readTree(new String(body, StandardCharsets.UTF_8)).path("weights");
            Map<String, Double> weights = new LinkedHashMap<>();
            for (var weight : given.properties()) {
                if (!weight.getValue().isNumber()) {
                    throw LitheException.badField(
                            "weights", "'%s' is no number", weight.getValue());
                }
                weights.put(weight.getKey(), weight.getValue().doubleValue());
            }
            return weights;
        } catch (JsonProcessingException e) {
            throw LitheException.badInput("the body is no JSON: %s", e.getOriginalMessage())
                    .causedBy(e);
        }
    }

    private JsonNode json(dev.lithe.route.Router router) {
        ObjectNode split = JSON.createObjectNode();
        ArrayNode shares = split.putArray("shares");
        router.variants()
                .forEach(variant ->
                        shares.addObject()
                                .put("variant", variant.name())
                                .put("share", router.share(variant.name()))
                                .put("drawn", router.drawn(variant.name())));
        SampleRatio ratio = router.sampleRatio();
        split.putObject("sample_ratio")
                .put("chi_squared", ratio.chiSquared())
                .put("p_value", ratio.pValue())
                .put("mismatch", ratio.mismatch());
        split.put(
                "shadow_variant",
                experiments.shadow().map(shadow -> shadow.variant().name()).orElse(""));
        return split.put("report", ReportFile.exists(router, ReportFolder.HTML));
    }

    private void report(RoutingContext context) {
        var call = new HttpCall(context, () -> {});
        preparation.run(
                call,
                0,
                () -> {
                    String html = ReportFile.read(serving.models().router(), ReportFolder.HTML);
                    context.response().putHeader("content-security-policy", policy(html));
                    call.answer("text/html; charset=utf-8", html);
                });
    }

    /// A report needs nothing but the style inside it, which an earlier Lithe may have written.
    private static String policy(String html) {
        String styles =
                STYLE.matcher(html)
                        .results()
                        .map(style -> Sha256.of(style.group(1).getBytes(StandardCharsets.UTF_8)))
                        .map(hash -> HexFormat.of().parseHex(hash))
                        .map(hash -> " 'sha256-" + Base64.getEncoder().encodeToString(hash) + "'")
                        .collect(Collectors.joining());
        return "default-src 'none'; style-src%s; frame-ancestors 'none'; sandbox"
                .formatted(styles.isEmpty() ? " 'none'" : styles);
    }
}
