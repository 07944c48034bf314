package dev.lithe.serve;

import dev.lithe.engine.Engine;
import dev.lithe.engine.Finish;
import dev.lithe.engine.GenerationListener;
import dev.lithe.engine.GenerationRequest;
import dev.lithe.engine.SamplingOptions;
import dev.lithe.engine.ServedModel;
import dev.lithe.engine.StopRules;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import java.util.Collections;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;

/// A short generation before the first request: it finds a broken model, and touches the weights
/// and the kernels.
final class WarmUp {
    private static final int PROMPT = 8;
    private static final int TOKENS = 4;
    private static final int MINUTES = 5;

    private WarmUp() {}

    /// Waits until `model` has answered once on the engine's thread.
    ///
    /// @throws LitheException where it fails
    static void run(Engine engine, ServedModel model) {
        int length = Math.min(PROMPT, model.decoder().spec().maxPositions());
        var request =
                new GenerationRequest(
                        model,
                        Collections.nCopies(length, 1),
                        SamplingOptions.GREEDY,
                        StopRules.exactly(TOKENS),
                        OptionalLong.empty());
        var done = new CompletableFuture<Finish>();
        engine.submit(request, new Listener(done));
        try {
            done.orTimeout(MINUTES, TimeUnit.MINUTES).join();
        } catch (CompletionException e) {
            if (e.getCause() instanceof LitheException known) {
                throw known;
            }
            throw LitheException.of(
                            Fault.INTERNAL,
                            "%s did not answer within %d minutes",
                            model.decoder().folder(),
                            MINUTES)
                    .causedBy(e);
        }
    }

    private record Listener(CompletableFuture<Finish> done) implements GenerationListener {
        @Override
        public void onStart(int promptTokens, long seed) {}

        @Override
        public void onDelta(String text, List<Integer> ids) {}

        @Override
        public void onFinish(Finish finish) {
            done.complete(finish);
        }

        @Override
        public void onError(LitheException error) {
            done.completeExceptionally(error);
        }
    }
}
