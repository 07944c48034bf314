package dev.lithe.serve;

import dev.lithe.proto.v1.GenerationInput;
import io.opentelemetry.api.OpenTelemetry;
import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanBuilder;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.propagation.W3CTraceContextPropagator;
import io.opentelemetry.context.Context;
import io.opentelemetry.context.propagation.TextMapGetter;
import jakarta.enterprise.inject.Instance;
import jakarta.inject.Inject;
import jakarta.inject.Singleton;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.eclipse.microprofile.config.inject.ConfigProperty;
import org.jspecify.annotations.Nullable;

/// One span per generating call, where traces are asked for, with the attributes that OpenTelemetry
/// names for generative models ("GenAI semantic conventions", in development) and its trace context
/// from the call's headers (W3C). No text of prompts or answers.
@Singleton
class Traces {
    private static final Map<String, String> OPERATIONS =
            Map.of(
                    "lithe.v1.GenerationService/Generate", "text_completion",
                    "lithe.v1.GenerationService/GenerateStream", "text_completion",
                    "lithe.v1.GenerationService/BatchGenerate", "text_completion",
                    "lithe.v1.ExperimentService/Compare", "text_completion",
                    "inference.GRPCInferenceService/ModelInfer", "text_completion",
                    "inference.GRPCInferenceService/ModelStreamInfer", "text_completion",
                    "/v1/completions", "text_completion",
                    "/v1/chat/completions", "chat");
    private static final Set<String> FINE = Set.of("OK", "200");

    private final @Nullable OpenTelemetry telemetry;

    @Inject
    Traces(
            Instance<OpenTelemetry> telemetry,
            @ConfigProperty(name = "quarkus.otel.sdk.disabled") boolean disabled) {
        this(disabled ? null : telemetry.get());
    }

    /// @param telemetry null for no traces
    Traces(@Nullable OpenTelemetry telemetry) {
        this.telemetry = telemetry;
    }

    void write(CallRecord record) {
        String operation = OPERATIONS.get(record.method());
        if (telemetry == null || operation == null) {
            return;
        }
        String variant = record.variant();
        SpanBuilder builder =
                telemetry
                        .getTracer("dev.lithe")
                        .spanBuilder(variant.isEmpty() ? operation : operation + " " + variant)
                        .setSpanKind(SpanKind.SERVER)
                        .setParent(parent(record))
                        .setStartTimestamp(record.startMillis(), TimeUnit.MILLISECONDS)
                        .setAttribute("gen_ai.operation.name", operation)
                        .setAttribute("gen_ai.provider.name", "lithe")
                        .setAttribute("gen_ai.response.id", record.id())
                        .setAttribute("lithe.method", record.method());
        GenerationInput input = record.input();
        if (input != null) {
            describe(builder, record, input);
        }
        Span span = builder.startSpan();
        if (record.firstMillis() > 0) {
            span.addEvent("first token", nanos(record, record.firstMillis()), TimeUnit.NANOSECONDS);
        }
        if (!FINE.contains(record.status())) {
            span.setStatus(StatusCode.ERROR).setAttribute("error.type", record.status());
        }
        span.end(nanos(record, record.millis()), TimeUnit.NANOSECONDS);
    }

    private static void describe(SpanBuilder builder, CallRecord record, GenerationInput input) {
        builder.setAttribute("gen_ai.request.model", record.variant())
                .setAttribute("gen_ai.response.model", record.variant())
                .setAttribute("gen_ai.request.temperature", input.getTemperature())
                .setAttribute("gen_ai.usage.input_tokens", record.promptTokens())
                .setAttribute("gen_ai.usage.output_tokens", record.outputTokens())
                .setAttribute(
                        AttributeKey.stringArrayKey("gen_ai.response.finish_reasons"),
                        record.reasons())
                .setAttribute("lithe.queue_ms", record.queueMillis());
        if (input.getStopping().hasMaxNewTokens()) {
            builder.setAttribute(
                    "gen_ai.request.max_tokens", input.getStopping().getMaxNewTokens());
        }
        if (input.getSampling().hasTopP()) {
            builder.setAttribute("gen_ai.request.top_p", input.getSampling().getTopP());
        }
    }

    private static long nanos(CallRecord record, double millis) {
        return TimeUnit.MILLISECONDS.toNanos(record.startMillis()) + Math.round(millis * 1e6);
    }

    private static Context parent(CallRecord record) {
        return W3CTraceContextPropagator.getInstance()
                .extract(Context.root(), record.trace(), new Getter());
    }

    private static final class Getter implements TextMapGetter<Map<String, String>> {
        @Override
        public Iterable<String> keys(Map<String, String> headers) {
            return headers.keySet();
        }

        @Override
        public @Nullable String get(@Nullable Map<String, String> headers, String name) {
            return headers == null ? null : headers.get(name);
        }
    }
}
