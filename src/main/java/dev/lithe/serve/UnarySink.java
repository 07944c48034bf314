package dev.lithe.serve;

import dev.lithe.engine.Finish;
import dev.lithe.engine.GenerationListener;
import dev.lithe.fault.LitheException;
import dev.lithe.proto.v1.GenerateResponse;
import dev.lithe.route.Route;
import java.util.List;

/// Collects a generation and answers once. What it holds is bounded by the request's token limit.
final class UnarySink implements GenerationListener {
    private final Call<GenerateResponse> call;
    private final String requestId;
    private final Route route;
    private final GenerateResponse.Builder response = GenerateResponse.newBuilder();
    private final StringBuilder text = new StringBuilder();

    UnarySink(Call<GenerateResponse> call, String requestId, Route route) {
        this.call = call;
        this.requestId = requestId;
        this.route = route;
    }

    @Override
    public void onStart(int promptTokens, long seed) {
        response.setStart(Responses.start(requestId, route, promptTokens, seed));
    }

    @Override
    public void onDelta(String delta, List<Integer> ids) {
        text.append(delta);
        response.addAllTokenIds(ids);
    }

    @Override
    public void onFinish(Finish finish) {
        call.send(response.setText(text.toString()).setFinish(Responses.finish(finish)).build());
        call.complete();
    }

    @Override
    public void onError(LitheException error) {
        call.fail(error);
    }
}
