package dev.lithe.serve;

import dev.lithe.engine.Finish;
import dev.lithe.engine.GenerationListener;
import dev.lithe.engine.TokenLogprobs;
import dev.lithe.fault.LitheException;
import dev.lithe.proto.v1.GenerateResponse;
import dev.lithe.route.Route;
import java.util.List;
import java.util.function.Consumer;

/// Collects a generation and answers once. What it holds is bounded by the request's token limit.
final class UnarySink implements GenerationListener {
    private final String requestId;
    private final Route route;
    private final Consumer<GenerateResponse> done;
    private final Consumer<LitheException> failed;
    private final GenerateResponse.Builder response = GenerateResponse.newBuilder();
    private final StringBuilder text = new StringBuilder();

    UnarySink(
            String requestId,
            Route route,
            Consumer<GenerateResponse> done,
            Consumer<LitheException> failed) {
        this.requestId = requestId;
        this.route = route;
        this.done = done;
        this.failed = failed;
    }

    @Override
    public void onStart(int promptTokens, long seed) {
        response.setStart(Responses.start(requestId, route, promptTokens, seed));
    }

    @Override
    public void onLogprobs(TokenLogprobs token) {
        response.addLogprobs(Responses.logprobs(token));
    }

    @Override
    public void onDelta(String delta, List<Integer> ids) {
        text.append(delta);
        response.addAllTokenIds(ids);
    }

    @Override
    public void onFinish(Finish finish) {
        response.setText(text.toString()).setFinish(Responses.finish(finish));
        done.accept(response.build());
    }

    @Override
    public void onError(LitheException error) {
        failed.accept(error);
    }
}
