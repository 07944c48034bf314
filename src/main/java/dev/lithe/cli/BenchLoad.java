package dev.lithe.cli;

import dev.lithe.proto.v1.GenerateStreamRequest;
import dev.lithe.proto.v1.GenerationServiceGrpc.GenerationServiceStub;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;

/// How requests come: a number of streams, each of which asks again once it is answered, or a rate,
/// whatever the answers do.
sealed interface BenchLoad {
    /// Sends all requests and waits for their ends.
    ///
    /// @param seed of the arrivals
    /// @return what they took, in their order
    List<RequestTimes> send(
            GenerationServiceStub stub, List<GenerateStreamRequest> requests, long seed);

    /// How many requests a round holds at least, so that the load is what it says.
    int fewestInRound();

    /// How many requests of each variant are sent unless told otherwise.
    int usualRequests();

    /// For people.
    String label();

    /// So many at a time: a closed loop.
    record Streams(int count) implements BenchLoad {
        @Override
        public List<RequestTimes> send(
                GenerationServiceStub stub, List<GenerateStreamRequest> requests, long seed) {
            var times = new RequestTimes[requests.size()];
            var next = new AtomicInteger();
            List<Thread> streams = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                streams.add(
                        Thread.startVirtualThread(() -> {
                            for (int at = next.getAndIncrement();
                                    at < times.length;
                                    at = next.getAndIncrement()) {
                                times[at] =
                                        BenchCall.start(stub, requests.get(at), System.nanoTime())
                                                .join();
                            }
                        }));
            }
            streams.forEach(Streams::await);
            return Arrays.asList(times);
        }

        private static void await(Thread thread) {
            try {
                thread.join();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }

        @Override
        public int fewestInRound() {
            return count == 1 ? 1 : 2 * count;
        }

        @Override
        public int usualRequests() {
            return count == 1 ? 20 : 40 * count;
        }

        @Override
        public String label() {
            return count == 1 ? "one at a time" : count + " at a time";
        }
    }

    /// So many a second with exponential gaps (Poisson arrivals): an open loop. A slow answer
    /// delays no later request, and each is timed from when it was due, so that waiting in line
    /// shows.
    record Rate(double perSecond) implements BenchLoad {
        private static final double NANOS = 1e9;

        @Override
        public List<RequestTimes> send(
                GenerationServiceStub stub, List<GenerateStreamRequest> requests, long seed) {
            double[] arrivals = arrivals(requests.size(), seed);
            List<CompletableFuture<RequestTimes>> calls = new ArrayList<>();
            long begin = System.nanoTime();
            for (int i = 0; i < arrivals.length; i++) {
                long due = begin + Math.round(arrivals[i] * NANOS);
                for (long wait = due - System.nanoTime();
                        wait > 0;
                        wait = due - System.nanoTime()) {
                    LockSupport.parkNanos(wait);
                }
                calls.add(BenchCall.start(stub, requests.get(i), due));
            }
            return calls.stream().map(CompletableFuture::join).toList();
        }

        /// When requests are due, in seconds from the first possible moment.
        double[] arrivals(int count, long seed) {
            var random = new Random(seed);
            double[] arrivals = new double[count];
            double at = 0;
            for (int i = 0; i < count; i++) {
                at -= Math.log1p(-random.nextDouble()) / perSecond;
                arrivals[i] = at;
            }
            return arrivals;
        }

        @Override
        public int fewestInRound() {
            return 10;
        }

        @Override
        public int usualRequests() {
            return 200;
        }

        @Override
        public String label() {
            return String.format(Locale.ROOT, "%s a second (Poisson), timed from due", number());
        }

        private String number() {
            return perSecond == Math.rint(perSecond)
                    ? Long.toString((long) perSecond)
                    : Double.toString(perSecond);
        }
    }
}
