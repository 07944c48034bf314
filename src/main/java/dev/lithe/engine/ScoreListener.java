package dev.lithe.engine;

import dev.lithe.fault.LitheException;
import java.util.List;

/// Hears once of one [ScoreRequest], on the engine's thread, which must not be blocked.
public interface ScoreListener {
    /// The scored tokens, in order.
    void onScored(List<TokenLogprobs> tokens);

    /// The request failed or was withdrawn.
    void onError(LitheException error);
}
