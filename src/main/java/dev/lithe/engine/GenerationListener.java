package dev.lithe.engine;

import dev.lithe.fault.LitheException;
import java.util.List;

/// Hears of one request: `onStart`, any number of `onDelta`, then `onFinish`; or at any point
/// `onError`, after which nothing follows. All calls come from the engine's thread, which waits for
/// them: they must not block.
public interface GenerationListener {
    /// The engine took the request.
    void onStart(int promptTokens, long seed);

    /// How likely the token of the next `onDelta` was; only where the request asks for it.
    default void onLogprobs(TokenLogprobs token) {}

    /// A token was computed.
    ///
    /// @param text whole characters that it makes clear; may be empty
    /// @param ids the new tokens
    void onDelta(String text, List<Integer> ids);

    /// The request is done.
    void onFinish(Finish finish);

    /// The request failed or was withdrawn.
    void onError(LitheException error);

    /// Whether it can take more now. A sequence whose listener cannot is not computed on; whoever
    /// makes it ready calls [Engine#wake].
    default boolean ready() {
        return true;
    }
}
