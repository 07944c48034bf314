package dev.lithe.serve;

import com.google.protobuf.ByteString;
import dev.lithe.fault.LitheException;
import dev.lithe.proto.inference.InferParameter;
import dev.lithe.proto.inference.InferTensorContents;
import dev.lithe.proto.inference.ModelInferRequest;
import dev.lithe.proto.inference.ModelInferRequest.InferInputTensor;
import dev.lithe.proto.inference.ModelInferResponse;
import dev.lithe.proto.v1.GenerationInput;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Requests and answers of the Open Inference Protocol: named tensors, typed or raw. A raw string
/// is its length in four bytes, low byte first, and its UTF-8; raw numbers are low byte first.
final class InferTensors {
    static final String TEXT_INPUT = "text_input";
    static final String TEXT_OUTPUT = "text_output";
    static final String FINISH_REASON = "finish_reason";

    private final ModelInferRequest request;
    private final Map<String, List<?>> values = new HashMap<>();

    /// Reads a request's tensors and parameters.
    ///
    /// @throws LitheException where they do not fit together
    InferTensors(ModelInferRequest request) {
        this.request = request;
        if (raw() && request.getRawInputContentsCount() != request.getInputsCount()) {
            throw LitheException.badField(
                    "raw_input_contents",
                    "%d of them for %d inputs; give one per input",
                    request.getRawInputContentsCount(),
                    request.getInputsCount());
        }
        request.getParametersMap().forEach((name, value) -> values.put(name, parameter(value)));
        for (int i = 0; i < request.getInputsCount(); i++) {
            InferInputTensor input = request.getInputs(i);
            values.put(
                    input.getName(),
                    raw() ? raw(input, request.getRawInputContents(i)) : typed(input));
        }
    }

    private boolean raw() {
        return request.getRawInputContentsCount() > 0;
    }

    private static List<?> parameter(InferParameter parameter) {
        return switch (parameter.getParameterChoiceCase()) {
            case BOOL_PARAM -> List.of(parameter.getBoolParam());
            case INT64_PARAM -> List.of(parameter.getInt64Param());
            case UINT64_PARAM -> List.of(parameter.getUint64Param());
            case DOUBLE_PARAM -> List.of(parameter.getDoubleParam());
            case STRING_PARAM -> List.of(parameter.getStringParam());
            case PARAMETERCHOICE_NOT_SET -> List.of();
        };
    }

    private static List<?> typed(InferInputTensor input) {
        InferTensorContents contents = input.getContents();
        return switch (input.getDatatype()) {
            case "BYTES" ->
                    contents.getBytesContentsList().stream().map(ByteString::toStringUtf8).toList();
            case "BOOL" -> contents.getBoolContentsList();
            case "INT32" -> contents.getIntContentsList();
            case "INT64" -> contents.getInt64ContentsList();
            case "UINT32" -> contents.getUintContentsList();
            case "UINT64" -> contents.getUint64ContentsList();
            case "FP32" -> contents.getFp32ContentsList();
            case "FP64" -> contents.getFp64ContentsList();
            default -> throw unknownType(input);
        };
    }

    private static LitheException unknownType(InferInputTensor input) {
        return LitheException.badField(
                input.getName(), "the data type '%s' is not known here", input.getDatatype());
    }

    private static List<?> raw(InferInputTensor input, ByteString bytes) {
        ByteBuffer buffer = bytes.asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
        List<Object> read = new ArrayList<>();
        while (buffer.hasRemaining()) {
            int width =
                    switch (input.getDatatype()) {
                        case "BOOL" -> 1;
                        case "BYTES", "INT32", "UINT32", "FP32" -> 4;
                        case "INT64", "UINT64", "FP64" -> 8;
                        default -> throw unknownType(input);
                    };
            if (buffer.remaining() < width) {
                throw tooShort(input);
            }
            read.add(
                    switch (input.getDatatype()) {
                        case "BOOL" -> buffer.get() != 0;
                        case "BYTES" -> text(input, buffer);
                        case "FP32" -> buffer.getFloat();
                        case "FP64" -> buffer.getDouble();
                        case "INT32", "UINT32" -> buffer.getInt();
                        default -> buffer.getLong();
                    });
        }
        return read;
    }

    private static String text(InferInputTensor input, ByteBuffer buffer) {
        int length = buffer.getInt();
        if (length < 0 || length > buffer.remaining()) {
            throw tooShort(input);
        }
        ByteString text = ByteString.copyFrom(buffer.slice(buffer.position(), length));
        buffer.position(buffer.position() + length);
        return text.toStringUtf8();
    }

    private static LitheException tooShort(InferInputTensor input) {
        return LitheException.badField(input.getName(), "its raw contents break off");
    }

    /// Whether text is wanted as it comes.
    boolean streaming() {
        return flag("streaming") || flag("stream");
    }

    /// What to generate.
    GenerationInput input() {
        var input = GenerationInput.newBuilder().setRequestId(request.getId());
        input.setText(one(TEXT_INPUT, String.class, null));
        input.setTemperature(number("temperature", 0).floatValue());
        if (has("max_tokens")) {
            input.getStoppingBuilder().setMaxNewTokens(whole("max_tokens"));
        }
        if (has("top_k")) {
            input.getSamplingBuilder().setTopK(whole("top_k"));
        }
        if (has("top_p")) {
            input.getSamplingBuilder().setTopP(number("top_p", 1).floatValue());
        }
        if (has("min_p")) {
            input.getSamplingBuilder().setMinP(number("min_p", 0).floatValue());
        }
        if (has("seed")) {
            input.getSamplingBuilder().setSeed(whole("seed", Long.MAX_VALUE));
        }
        if (has("repetition_penalty")) {
            float penalty = number("repetition_penalty", 1).floatValue();
            input.getDecodingBuilder().setRepetitionPenalty(penalty);
        }
        for (Object stop : values.getOrDefault("stop", List.of())) {
            input.getStoppingBuilder().addStopStrings(String.valueOf(stop));
        }
        input.getStoppingBuilder().setIgnoreEos(flag("ignore_eos"));
        return input.build();
    }

    private boolean has(String name) {
        return values.containsKey(name);
    }

    private boolean flag(String name) {
        return one(name, Boolean.class, false);
    }

    private int whole(String name) {
        long value = whole(name, Integer.MAX_VALUE);
        if (value < 0) {
            throw LitheException.badField(name, "%d; use 0 or more", value);
        }
        return (int) value;
    }

    private long whole(String name, long most) {
        Number value = number(name, 0);
        if (value.doubleValue() != Math.rint(value.doubleValue())) {
            throw LitheException.badField(name, "%s is no whole number", value);
        }
        return Math.min(value.longValue(), most);
    }

    /// A number, also as a text: Triton's clients have no other way for parameters with a fraction.
    private Number number(String name, Number otherwise) {
        Object value = one(name, Object.class, otherwise);
        if (value instanceof Number number) {
            return number;
        }
        try {
            return Double.valueOf(String.valueOf(value));
        } catch (NumberFormatException e) {
            throw LitheException.badField(name, "'%s' is no number", value).causedBy(e);
        }
    }

    private <T> T one(String name, Class<T> type, @Nullable T otherwise) {
        List<?> given = values.get(name);
        if (given == null && otherwise != null) {
            return otherwise;
        }
        if (given == null || given.size() != 1 || !type.isInstance(given.getFirst())) {
            throw LitheException.badField(
                    name,
                    "%d values; give one %s",
                    given == null ? 0 : given.size(),
                    type == Object.class
                            ? "number"
                            : type.getSimpleName().toLowerCase(Locale.ROOT));
        }
        return type.cast(given.getFirst());
    }

    /// An answer with a text and, at the end, the reason.
    ///
    /// @param reason empty before the end
    ModelInferResponse.Builder response(String model, String text, String reason) {
        var response =
                ModelInferResponse.newBuilder()
                        .setModelName(model)
                        .setModelVersion("1")
                        .setId(request.getId());
        add(response, TEXT_OUTPUT, text);
        add(response, FINISH_REASON, reason);
        return response;
    }

    private void add(ModelInferResponse.Builder response, String name, String text) {
        ByteString bytes = ByteString.copyFromUtf8(text);
        var tensor = response.addOutputsBuilder().setName(name).setDatatype("BYTES").addShape(1);
        if (raw()) {
            byte[] length =
                    ByteBuffer.allocate(Integer.BYTES)
                            .order(ByteOrder.LITTLE_ENDIAN)
                            .putInt(bytes.size())
                            .array();
            response.addRawOutputContents(ByteString.copyFrom(length).concat(bytes));
        } else {
            tensor.getContentsBuilder().addBytesContents(bytes);
        }
    }
}
