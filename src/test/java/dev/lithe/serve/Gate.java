package dev.lithe.serve;

import dev.lithe.engine.Finish;
import dev.lithe.engine.GenerationListener;
import dev.lithe.engine.GenerationRequest;
import dev.lithe.engine.SamplingOptions;
import dev.lithe.engine.StopRules;
import dev.lithe.fault.LitheException;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/// Holds the engine's thread in the middle of a token, so that a test can arrange what happens
/// next.
final class Gate implements GenerationListener, AutoCloseable {
    private final CountDownLatch reached = new CountDownLatch(1);
    private final CountDownLatch opened = new CountDownLatch(1);

    /// Returns once the engine stands still.
    static Gate shut(TestServer server) {
        var gate = new Gate();
        var request =
                new GenerationRequest(
                        server.router().first().model(),
                        List.of(1),
                        SamplingOptions.GREEDY,
                        StopRules.exactly(1),
                        OptionalLong.empty());
        server.engine().submit(request, gate);
        await(gate.reached);
        return gate;
    }

    private static void await(CountDownLatch latch) {
        try {
            if (!latch.await(60, TimeUnit.SECONDS)) {
                throw new AssertionError("waited too long");
            }
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    @Override
    public void onStart(int promptTokens, long seed) {}

    @Override
    public void onDelta(String text, List<Integer> ids) {
        reached.countDown();
        await(opened);
    }

    @Override
    public void onFinish(Finish finish) {}

    @Override
    public void onError(LitheException error) {}

    /// Lets the engine go on.
    void open() {
        opened.countDown();
    }

    @Override
    public void close() {
        open();
    }
}
