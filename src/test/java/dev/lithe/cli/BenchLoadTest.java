package dev.lithe.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.lithe.proto.v1.GenerateStreamRequest;
import dev.lithe.proto.v1.GenerateStreamResponse;
import dev.lithe.proto.v1.GenerationDelta;
import dev.lithe.proto.v1.GenerationServiceGrpc.GenerationServiceImplBase;
import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.Server;
import io.grpc.Status;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/// Loads against servers on the loopback that are slow, or refuse, in known ways.
class BenchLoadTest {
    private static final long SEED = 11;
    private static final int SECONDS = 30;

    private @Nullable Server server;
    private @Nullable ServerConnection connection;

    /// A server of generations that answers as `service` does.
    private void serve(GenerationServiceImplBase service) throws IOException {
        server =
                Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create())
                        .addService(service)
                        .build()
                        .start();
        connection = ServerConnection.open("127.0.0.1:" + server.getPort(), "", null);
    }

    @AfterEach
    void stop() {
        if (connection != null && server != null) {
            connection.close();
            server.shutdownNow();
        }
    }

    private List<RequestTimes> send(BenchLoad load, int requests) {
        List<GenerateStreamRequest> all =
                Collections.nCopies(requests, GenerateStreamRequest.getDefaultInstance());
        return load.send(connection.streams(SECONDS), all, SEED);
    }

    private static void token(StreamObserver<GenerateStreamResponse> call) {
        call.onNext(
                GenerateStreamResponse.newBuilder()
                        .setDelta(GenerationDelta.newBuilder().addTokenIds(1))
                        .build());
    }

    /// Says nothing until the last of the expected requests is there, then answers all.
    private static final class Stalled extends GenerationServiceImplBase {
        private final List<StreamObserver<GenerateStreamResponse>> waiting =
                Collections.synchronizedList(new ArrayList<>());
        private final int expected;

        Stalled(int expected) {
            this.expected = expected;
        }

        @Override
        public synchronized void generateStream(
                GenerateStreamRequest request, StreamObserver<GenerateStreamResponse> call) {
            waiting.add(call);
            if (waiting.size() == expected) {
                for (StreamObserver<GenerateStreamResponse> each : waiting) {
                    token(each);
                    token(each);
                    each.onCompleted();
                }
            }
        }
    }

    /// A closed loop would send the second request after the first answer, and never see the stall.
    @Test
    void aStalledServerShowsInTheTimesOfAnOpenLoop() throws IOException {
        int requests = 40;
        serve(new Stalled(requests));
        var rate = new BenchLoad.Rate(100);
        List<RequestTimes> times = send(rate, requests);
        double[] arrivals = rate.arrivals(requests, SEED);
        for (int i = 0; i < requests; i++) {
            double stall = 1000 * (arrivals[requests - 1] - arrivals[i]);
            assertThat(times.get(i).status()).isEqualTo(Status.Code.OK);
            assertThat(times.get(i).first()).isGreaterThanOrEqualTo(stall);
            assertThat(times.get(i).whole()).isGreaterThanOrEqualTo(times.get(i).first());
            assertThat(times.get(i).late()).isNotNegative();
            assertThat(times.get(i).tokens()).isEqualTo(2);
            assertThat(times.get(i).gaps()).hasSize(1);
        }
    }

    @Test
    void arrivalsAreExponentialAndSeeded() {
        double[] arrivals = new BenchLoad.Rate(50).arrivals(20_000, SEED);
        assertThat(arrivals).isSorted().isEqualTo(new BenchLoad.Rate(50).arrivals(20_000, SEED));
        assertThat(arrivals[arrivals.length - 1]).isCloseTo(400, within(12.0));
        long above = 0;
        for (int i = 1; i < arrivals.length; i++) {
            above += arrivals[i] - arrivals[i - 1] > 1 / 50.0 ? 1 : 0;
        }
        // One gap in e is longer than the mean.
        assertThat(above / 20_000.0).isCloseTo(1 / Math.E, within(0.02));
    }

    /// Refuses every third request, and counts those under way.
    private static final class Choosy extends GenerationServiceImplBase {
        private final AtomicInteger asked = new AtomicInteger();
        private final AtomicInteger running = new AtomicInteger();
        private final AtomicInteger most = new AtomicInteger();

        @Override
        public void generateStream(
                GenerateStreamRequest request, StreamObserver<GenerateStreamResponse> call) {
            most.accumulateAndGet(running.incrementAndGet(), Math::max);
            token(call);
            boolean refused = asked.incrementAndGet() % 3 == 0;
            running.decrementAndGet();
            if (refused) {
                call.onError(
                        Status.RESOURCE_EXHAUSTED
                                .withDescription("the queue is full\nmore")
                                .asRuntimeException());
            } else {
                call.onCompleted();
            }
        }
    }

    @Test
    void streamsKeepTheirNumberAndCountRefusals() throws IOException {
        var choosy = new Choosy();
        serve(choosy);
        List<RequestTimes> times = send(new BenchLoad.Streams(4), 30);
        assertThat(times).hasSize(30).doesNotContainNull();
        assertThat(choosy.most.get()).isLessThanOrEqualTo(4);
        assertThat(times.stream().filter(RequestTimes::completed)).hasSize(20);
        var samples = new BenchSamples(List.of(new BenchSamples.Round(times, 1)));
        assertThat(samples.failures()).containsOnlyKeys(Status.Code.RESOURCE_EXHAUSTED);
        assertThat(samples.reason(Status.Code.RESOURCE_EXHAUSTED)).isEqualTo("the queue is full");
    }
}
