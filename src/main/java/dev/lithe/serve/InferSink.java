package dev.lithe.serve;

import dev.lithe.engine.Finish;
import dev.lithe.engine.GenerationListener;
import dev.lithe.fault.LitheException;
import dev.lithe.proto.inference.InferParameter;
import dev.lithe.proto.inference.ModelInferResponse;
import dev.lithe.route.Route;
import java.util.List;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;

/// Answers one request of the Open Inference Protocol, at once or as the text comes.
///
/// @param streaming whether to answer as it comes
/// @param takesMore whether the connection takes more
/// @param send takes answers, in order
/// @param done is told after the last
record InferSink(
        InferTensors tensors,
        Route route,
        boolean streaming,
        StringBuilder text,
        BooleanSupplier takesMore,
        Consumer<ModelInferResponse> send,
        Runnable done,
        Consumer<LitheException> failed)
        implements GenerationListener {
    @Override
    public boolean ready() {
        return !streaming || takesMore.getAsBoolean();
    }

    @Override
    public void onStart(int promptTokens, long seed) {}

    @Override
    public void onDelta(String delta, List<Integer> ids) {
        if (!streaming) {
            text.append(delta);
        } else if (!delta.isEmpty()) {
            send.accept(response(delta, "", false).build());
        }
    }

    private ModelInferResponse.Builder response(String piece, String reason, boolean last) {
        return tensors.response(route.variant().name(), piece, reason)
                .putParameters(
                        "triton_final_response",
                        InferParameter.newBuilder().setBoolParam(last).build());
    }

    @Override
    public void onFinish(Finish finish) {
        String reason = OpenAiAnswer.reason(finish.reason());
        send.accept(
                response(text.toString(), reason, true)
                        .putParameters("prompt_tokens", number(finish.promptTokens()))
                        .putParameters("completion_tokens", number(finish.outputTokens()))
                        .build());
        done.run();
    }

    private static InferParameter number(int value) {
        return InferParameter.newBuilder().setInt64Param(value).build();
    }

    @Override
    public void onError(LitheException error) {
        failed.accept(error);
    }
}
