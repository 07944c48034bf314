package dev.lithe.cli;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.fault.LitheException;
import dev.lithe.proto.v1.GenerateStreamRequest;
import dev.lithe.proto.v1.GenerateStreamResponse;
import dev.lithe.proto.v1.GenerationDelta;
import dev.lithe.proto.v1.GenerationFinish;
import dev.lithe.proto.v1.GenerationInput;
import dev.lithe.proto.v1.GenerationStart;
import dev.lithe.proto.v1.Timings;
import java.io.PrintWriter;
import java.util.Iterator;
import java.util.Locale;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `lithe generate`: asks a running server to continue a prompt, and prints the text as it comes.
@Command(name = "generate", description = "Continue a prompt on a running server.")
final class GenerateCommand implements Runnable {
    private static final JsonMapper JSON = new JsonMapper();

    @Spec private CommandSpec spec;

    @Parameters(paramLabel = "PROMPT", description = "The text to continue.")
    private String prompt = "";

    @Mixin private ConnectionFlags connection = new ConnectionFlags();

    @Option(
            names = "--variant",
            defaultValue = "",
            description = "Which variant answers; the server chooses without.")
    private String variant = "";

    @Option(names = "--json", description = "Print one JSON object at the end instead of the text.")
    private boolean json;

    @Mixin private SamplingFlags sampling = new SamplingFlags();

    private boolean inLine;

    @Override
    public void run() {
        var input = GenerationInput.newBuilder().setText(prompt).setVariant(variant);
        sampling.applyTo(input);
        var request = GenerateStreamRequest.newBuilder().setInput(input).build();
        try (ServerConnection server = connection.open()) {
            server.call(() -> {
                print(server.generation().generateStream(request));
                return true;
            });
        } catch (LitheException e) {
            endLine();
            throw e;
        }
    }

    /// Puts what follows on a line of its own where a stream broke off within one.
    private void endLine() {
        if (inLine) {
            spec.commandLine().getOut().println();
            spec.commandLine().getOut().flush();
        }
    }

    private void print(Iterator<GenerateStreamResponse> events) {
        PrintWriter out = spec.commandLine().getOut();
        PrintWriter err = spec.commandLine().getErr();
        var start = GenerationStart.getDefaultInstance();
        var text = new StringBuilder();
        ObjectNode result = JSON.createObjectNode();
        while (events.hasNext()) {
            GenerateStreamResponse event = events.next();
            switch (event.getEventCase()) {
                case START -> start = event.getStart();
                case DELTA -> {
                    GenerationDelta delta = event.getDelta();
                    delta.getTokenIdsList().forEach(result.withArray("token_ids")::add);
                    text.append(delta.getText());
                    if (!json) {
                        out.print(delta.getText());
                        inLine |= !delta.getText().isEmpty();
                        out.flush();
                    }
                }
                case FINISH -> {
                    if (json) {
                        fill(result.put("text", text.toString()), start, event.getFinish());
                        out.println(result);
                    } else {
                        out.println();
                        inLine = false;
                        err.println(summary(start, event.getFinish()));
                    }
                    out.flush();
                    err.flush();
                }
                case EVENT_NOT_SET -> {}
            }
        }
    }

    private static String summary(GenerationStart start, GenerationFinish finish) {
        Timings timings = finish.getTimings();
        int tokens = finish.getUsage().getOutputTokens();
        double perToken = tokens > 1 ? timings.getDecodeMs() / (tokens - 1) : 0;
        return String.format(
                Locale.ROOT,
                "%s · %d tokens (%s) · first after %.1f ms · then %.2f ms each · seed %d",
                start.getVariant(),
                tokens,
                reason(finish),
                timings.getTimeToFirstTokenMs(),
                perToken,
                start.getSeed());
    }

    private static void fill(ObjectNode result, GenerationStart start, GenerationFinish finish) {
        result.put("variant", start.getVariant());
        result.put("seed", start.getSeed());
        result.put("finish_reason", reason(finish));
        result.put("stop_string", finish.getStopString());
        result.put("prompt_tokens", finish.getUsage().getPromptTokens());
        result.put("output_tokens", finish.getUsage().getOutputTokens());
        result.put("queue_ms", finish.getTimings().getQueueMs());
        result.put("time_to_first_token_ms", finish.getTimings().getTimeToFirstTokenMs());
        result.put("decode_ms", finish.getTimings().getDecodeMs());
    }

    private static String reason(GenerationFinish finish) {
        return switch (finish.getFinishReason()) {
            case FINISH_REASON_STOP_TOKEN -> "stop token";
            case FINISH_REASON_STOP_STRING -> "stop string";
            case FINISH_REASON_LENGTH -> "length";
            case FINISH_REASON_UNSPECIFIED, UNRECOGNIZED -> "unknown";
        };
    }
}
