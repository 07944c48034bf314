package dev.lithe.serve;

import dev.lithe.engine.ScoreListener;
import dev.lithe.engine.TokenLogprobs;
import dev.lithe.fault.LitheException;
import dev.lithe.proto.v1.ScoreResponse;
import java.util.List;

/// Answers a `Score`.
///
/// @param response with what is known before
record ScoreSink(Call<ScoreResponse> call, ScoreResponse.Builder response)
        implements ScoreListener {
    @Override
    public void onScored(List<TokenLogprobs> tokens) {
        double sum = 0;
        boolean greedy = true;
        for (TokenLogprobs token : tokens) {
            response.addTokens(Responses.logprobs(token));
            sum += token.logprob();
            greedy &= token.rank() == 1;
        }
        call.answer(response.setLogLikelihood(sum).setGreedy(greedy).build());
    }

    @Override
    public void onError(LitheException error) {
        call.fail(error);
    }
}
