package dev.lithe.serve;

import dev.lithe.engine.Finish;
import dev.lithe.engine.GenerationListener;
import dev.lithe.engine.TokenLogprobs;
import dev.lithe.fault.LitheException;
import dev.lithe.proto.v1.GenerateStreamResponse;
import dev.lithe.proto.v1.GenerationDelta;
import dev.lithe.route.Route;
import java.util.ArrayList;
import java.util.List;

/// Sends a generation as it comes. The engine computes no further than the connection takes, so a
/// slow reader costs memory of one flow-control window and no more.
final class StreamSink implements GenerationListener {
    private final Call<GenerateStreamResponse> call;
    private final String requestId;
    private final Route route;
    private final List<dev.lithe.proto.v1.TokenLogprobs> logprobs = new ArrayList<>();

    StreamSink(Call<GenerateStreamResponse> call, String requestId, Route route) {
        this.call = call;
        this.requestId = requestId;
        this.route = route;
    }

    @Override
    public boolean ready() {
        return call.ready();
    }

    @Override
    public void onStart(int promptTokens, long seed) {
        call.send(
                GenerateStreamResponse.newBuilder()
                        .setStart(Responses.start(requestId, route, promptTokens, seed))
                        .build());
    }

    @Override
    public void onLogprobs(TokenLogprobs token) {
        logprobs.add(Responses.logprobs(token));
    }

    @Override
    public void onDelta(String text, List<Integer> ids) {
        var delta = GenerationDelta.newBuilder().setText(text).addAllTokenIds(ids);
        delta.addAllLogprobs(logprobs);
        logprobs.clear();
        call.send(GenerateStreamResponse.newBuilder().setDelta(delta).build());
    }

    @Override
    public void onFinish(Finish finish) {
        call.send(GenerateStreamResponse.newBuilder().setFinish(Responses.finish(finish)).build());
        call.complete();
    }

    @Override
    public void onError(LitheException error) {
        call.fail(error);
    }
}
