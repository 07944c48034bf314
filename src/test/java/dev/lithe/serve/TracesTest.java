package dev.lithe.serve;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.engine.Finish;
import dev.lithe.engine.FinishReason;
import dev.lithe.engine.GenerationListener;
import dev.lithe.fault.LitheException;
import dev.lithe.proto.v1.GenerationInput;
import dev.lithe.proto.v1.Stopping;
import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.sdk.OpenTelemetrySdk;
import io.opentelemetry.sdk.common.CompletableResultCode;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.data.SpanData;
import io.opentelemetry.sdk.trace.export.SimpleSpanProcessor;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/// Spans as OpenTelemetry's SDK hands them to an exporter.
class TracesTest {
    private static final String TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
    private static final String PARENT = "00f067aa0ba902b7";

    private final List<SpanData> spans = new ArrayList<>();
    private final Traces traces =
            new Traces(
                    OpenTelemetrySdk.builder()
                            .setTracerProvider(
                                    SdkTracerProvider.builder()
                                            .addSpanProcessor(
                                                    SimpleSpanProcessor.create(new Kept()))
                                            .build())
                            .build());

    private final class Kept implements SpanExporter {
        @Override
        public CompletableResultCode export(Collection<SpanData> ended) {
            spans.addAll(ended);
            return CompletableResultCode.ofSuccess();
        }

        @Override
        public CompletableResultCode flush() {
            return CompletableResultCode.ofSuccess();
        }

        @Override
        public CompletableResultCode shutdown() {
            return CompletableResultCode.ofSuccess();
        }
    }

    private static final class Deaf implements GenerationListener {
        @Override
        public void onStart(int promptTokens, long seed) {}

        @Override
        public void onDelta(String text, List<Integer> ids) {}

        @Override
        public void onFinish(Finish finish) {}

        @Override
        public void onError(LitheException error) {}
    }

    private CallRecord record(String method) {
        Map<String, String> headers = Map.of("traceparent", "00-" + TRACE + "-" + PARENT + "-01");
        return new CallRecord("mine", method, headers, traces::write);
    }

    @Test
    void aGenerationIsASpanWithTheNamesOfTheConventions() {
        CallRecord record = record("lithe.v1.GenerationService/GenerateStream");
        var input =
                GenerationInput.newBuilder()
                        .setText("a secret")
                        .setStopping(Stopping.newBuilder().setMaxNewTokens(7))
                        .build();
        GenerationListener listener = record.observe(input, "compressed", new Deaf());
        listener.onStart(3, 0);
        listener.onDelta("secret answer", List.of(1, 2));
        listener.onFinish(new Finish(FinishReason.LENGTH, Optional.empty(), 3, 2, 0.5, 1, 2));
        record.ended("OK");
        record.ended("CANCELLED"); // too late to count
        assertThat(spans).hasSize(1);
        SpanData span = spans.getFirst();
        assertThat(span.getName()).isEqualTo("text_completion compressed");
        assertThat(span.getKind()).isEqualTo(SpanKind.SERVER);
        assertThat(span.getTraceId()).isEqualTo(TRACE);
        assertThat(span.getParentSpanId()).isEqualTo(PARENT);
        assertThat(span.getStatus().getStatusCode()).isEqualTo(StatusCode.UNSET);
        assertThat(span.getEvents())
                .singleElement()
                .satisfies(event -> {
                    assertThat(event.getName()).isEqualTo("first token");
                    assertThat(event.getEpochNanos())
                            .isBetween(span.getStartEpochNanos(), span.getEndEpochNanos());
                });
        Map<AttributeKey<?>, Object> attributes = span.getAttributes().asMap();
        assertThat(attributes)
                .containsEntry(AttributeKey.stringKey("gen_ai.operation.name"), "text_completion")
                .containsEntry(AttributeKey.stringKey("gen_ai.provider.name"), "lithe")
                .containsEntry(AttributeKey.stringKey("gen_ai.request.model"), "compressed")
                .containsEntry(AttributeKey.stringKey("gen_ai.response.id"), "mine")
                .containsEntry(AttributeKey.longKey("gen_ai.request.max_tokens"), 7L)
                .containsEntry(AttributeKey.longKey("gen_ai.usage.input_tokens"), 3L)
                .containsEntry(AttributeKey.longKey("gen_ai.usage.output_tokens"), 2L)
                .containsEntry(
                        AttributeKey.stringArrayKey("gen_ai.response.finish_reasons"),
                        List.of("length"));
        assertThat(attributes.toString()).doesNotContain("secret");
    }

    @Test
    void whatFailsIsAnErrorAndWhatGeneratesNothingIsNoSpan() {
        record("/v1/chat/completions").ended("429");
        record("lithe.v1.ModelService/ListVariants").ended("OK");
        assertThat(spans)
                .singleElement()
                .satisfies(span -> {
                    assertThat(span.getName()).isEqualTo("chat");
                    assertThat(span.getStatus().getStatusCode()).isEqualTo(StatusCode.ERROR);
                    assertThat(span.getAttributes().asMap())
                            .containsEntry(AttributeKey.stringKey("error.type"), "429");
                });
    }
}
