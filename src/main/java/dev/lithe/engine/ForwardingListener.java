package dev.lithe.engine;

import dev.lithe.fault.LitheException;
import java.util.List;

/// Passes on everything; those who want to see some of it override that.
public abstract class ForwardingListener implements GenerationListener {
    private final GenerationListener listener;

    protected ForwardingListener(GenerationListener listener) {
        this.listener = listener;
    }

    @Override
    public void onStart(int promptTokens, long seed) {
        listener.onStart(promptTokens, seed);
    }

    @Override
    public void onLogprobs(TokenLogprobs token) {
        listener.onLogprobs(token);
    }

    @Override
    public void onDelta(String text, List<Integer> ids) {
        listener.onDelta(text, ids);
    }

    @Override
    public void onFinish(Finish finish) {
        listener.onFinish(finish);
    }

    @Override
    public void onError(LitheException error) {
        listener.onError(error);
    }

    @Override
    public boolean ready() {
        return listener.ready();
    }
}
