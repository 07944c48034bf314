import com.google.protobuf.ByteString;
import dev.lithe.proto.inference.GRPCInferenceServiceGrpc;
import dev.lithe.proto.inference.InferParameter;
import dev.lithe.proto.inference.ModelInferRequest;
import dev.lithe.proto.inference.ModelStreamInferResponse;
import dev.lithe.proto.v1.BatchGenerateRequest;
import dev.lithe.proto.v1.CompareRequest;
import dev.lithe.proto.v1.ExperimentServiceGrpc;
import dev.lithe.proto.v1.GenerateRequest;
import dev.lithe.proto.v1.GenerateStreamRequest;
import dev.lithe.proto.v1.GenerateStreamResponse;
import dev.lithe.proto.v1.GenerationInput;
import dev.lithe.proto.v1.GenerationServiceGrpc;
import dev.lithe.proto.v1.RandomSampling;
import dev.lithe.proto.v1.ScoreRequest;
import dev.lithe.proto.v1.Stopping;
import dev.lithe.proto.v1.TokenIds;
import io.grpc.Channel;
import io.grpc.ClientInterceptor;
import io.grpc.ClientInterceptors;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;

/// One client that does everything that clients do, well and badly. Each kind of behaviour returns
/// how its call ended; what is not among the ends that the protocol documents for it is a fault of
/// the server.
final class SoakClient implements AutoCloseable {
    /// No call may take longer, however busy the server is and whatever else the machine does.
    private static final int STUCK_SECONDS = 300;

    private static final int VOCABULARY = 4096;

    /// What a client does, how often, and how that may end. One whose
    /// time cannot suffice is refused at once with `RESOURCE_EXHAUSTED`.
    enum Kind {
        STREAM(12, "OK"),
        UNARY(6, "OK"),
        BATCH(3, "OK"),
        SCORE(4, "OK"),
        COMPARE(3, "OK"),
        INFER(3, "OK"),
        INFER_STREAM(4, "OK"),
        INFER_LEAVE(3, "CANCELLED"),
        WRONG_TOKEN(3, "UNAUTHENTICATED"),
        CANCEL(10, "CANCELLED", "OK"),
        DEADLINE(10, "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "OK"),
        SLOW_READER(4, "OK"),
        ABSENT_READER(4, "CANCELLED"),
        LONG_PROMPT(5, "INVALID_ARGUMENT"),
        LONG_TEXT(3, "INVALID_ARGUMENT"),
        BAD_PARAMETER(6, "INVALID_ARGUMENT"),
        UNKNOWN_VARIANT(3, "NOT_FOUND"),
        HUGE_MESSAGE(3, "RESOURCE_EXHAUSTED"),
        RAW_BYTES(4, "closed"),
        BROKEN_HTTP2(4, "closed"),
        HTTP(8, "200"),
        HTTP_LEAVE(6, "left"),
        HTTP_BAD_JSON(4, "400"),
        HTTP_HUGE(2, "400", "413", "closed"),
        HTTP_GARBAGE(4, "400", "closed"),
        HTTP_HALF(3, "left"),
        HTTP_HALF_BODY(3, "left");

        final int weight;
        final Set<String> ends;

        Kind(int weight, String... ends) {
            this.weight = weight;
            this.ends = Set.of(ends);
        }

        static Kind draw(Random random) {
            int sum = 0;
            for (Kind each : values()) {
                sum += each.weight;
            }
            int at = random.nextInt(sum);
            for (Kind each : values()) {
                at -= each.weight;
                if (at < 0) {
                    return each;
                }
            }
            throw new IllegalStateException();
        }
    }

    private final SoakServer server;
    private final Random random;
    private ManagedChannel channel;

    /// The same with the token that the server knows.
    private Channel authorized;

    SoakClient(SoakServer server, long seed) {
        this.server = server;
        this.random = new Random(seed);
        connect();
    }

    private void connect() {
        channel = Grpc.newChannelBuilder("127.0.0.1:" + server.grpcPort(), InsecureChannelCredentials.create())
                .maxInboundMessageSize(16 << 20)
                .build();
        authorized = ClientInterceptors.intercept(channel, token("soak"));
    }

    Kind draw() {
        return Kind.draw(random);
    }

    /// Does it and tells how it ended: a status's name, or what became of a connection.
    String act(Kind kind) throws IOException, InterruptedException {
        if (random.nextInt(50) == 0) {
            close();
            connect();
        }
        try {
            return switch (kind) {
                case STREAM -> stream(input(1 + random.nextInt(64)), 0, -1, 0);
                case UNARY -> {
                    GenerateRequest request = GenerateRequest.newBuilder().setInput(input(1 + random.nextInt(32))).build();
                    yield blocking().generate(request).hasFinish() ? "OK" : "no finish";
                }
                case BATCH -> {
                    var request = BatchGenerateRequest.newBuilder();
                    for (int i = 0; i < 4; i++) {
                        request.addInputs(input(1 + random.nextInt(16)));
                    }
                    var results = blocking().batchGenerate(request.build()).getResultsList();
                    yield results.size() == 4 && results.stream().allMatch(each -> each.hasResponse()) ? "OK" : "in part";
                }
                case SCORE -> {
                    blocking().score(ScoreRequest.newBuilder().setPromptText("Once").setText(" upon a time").build());
                    yield "OK";
                }
                case COMPARE -> compare();
                case INFER -> {
                    yield inference().modelInfer(tensors(1 + random.nextInt(16))).getOutputsCount() == 2 ? "OK" : "no answer";
                }
                case INFER_STREAM -> inferStream(1 + random.nextInt(8), false);
                case INFER_LEAVE -> inferStream(8, true);
                case WRONG_TOKEN -> {
                    GenerateRequest request = GenerateRequest.newBuilder().setInput(input(1)).build();
                    yield GenerationServiceGrpc.newBlockingStub(channel)
                            .withInterceptors(token("guess" + random.nextInt()))
                            .withDeadlineAfter(STUCK_SECONDS, TimeUnit.SECONDS)
                            .generate(request)
                            .hasFinish() ? "OK" : "no finish";
                }
                case CANCEL -> stream(input(400), 0, random.nextInt(20), 0);
                case DEADLINE -> stream(input(400), 0, -1, 1 + random.nextInt(100));
                case SLOW_READER -> stream(input(40), 50, -1, 0);
                case ABSENT_READER -> stream(input(400), -1, -1, 0);
                case LONG_PROMPT -> stream(input(10).toBuilder().setTokenIds(ids(513 + random.nextInt(5000))).build(), 0, -1, 0);
                case LONG_TEXT -> stream(input(10).toBuilder().setText("long ".repeat(100_000)).build(), 0, -1, 0);
                case BAD_PARAMETER -> stream(bad(), 0, -1, 0);
                case UNKNOWN_VARIANT -> stream(input(5).toBuilder().setVariant("nobody").build(), 0, -1, 0);
                case HUGE_MESSAGE -> stream(input(5).toBuilder().setText("x".repeat(5 << 20)).build(), 0, -1, 0);
                case RAW_BYTES -> raw(server.grpcPort(), noise(1 + random.nextInt(4096)));
                case BROKEN_HTTP2 -> raw(server.grpcPort(), brokenHttp2());
                case HTTP -> http(completion(8, random.nextBoolean()), true, false);
                case HTTP_LEAVE -> http(completion(400, true), false, false);
                case HTTP_BAD_JSON -> http(post("{\"prompt\": \"x\", \"max_tokens\": }"), true, false);
                case HTTP_HUGE -> http(post("{\"prompt\": \"" + "y".repeat(5 << 20) + "\"}"), true, false);
                case HTTP_GARBAGE -> http(noise(1 + random.nextInt(2048)), true, true);
                case HTTP_HALF_BODY -> http(Arrays.copyOf(post("{\"prompt\": \"" + "z".repeat(4_000_000) + "\"}"), 2_000_000), false, false);
                case HTTP_HALF -> http("POST /v1/completions HTTP/1.1\r\nhost: x\r\nconte".getBytes(StandardCharsets.UTF_8), false, false);
            };
        } catch (StatusRuntimeException e) {
            return e.getStatus().getCode().name();
        }
    }

    private GenerationServiceGrpc.GenerationServiceBlockingStub blocking() {
        return GenerationServiceGrpc.newBlockingStub(authorized).withDeadlineAfter(STUCK_SECONDS, TimeUnit.SECONDS);
    }

    private GRPCInferenceServiceGrpc.GRPCInferenceServiceBlockingStub inference() {
        return GRPCInferenceServiceGrpc.newBlockingStub(authorized).withDeadlineAfter(STUCK_SECONDS, TimeUnit.SECONDS);
    }

    private static ClientInterceptor token(String token) {
        var metadata = new Metadata();
        metadata.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + token);
        return MetadataUtils.newAttachHeadersInterceptor(metadata);
    }

    /// Both variants side by side, to the summary.
    private String compare() {
        GenerationInput input = input(1 + random.nextInt(32)).toBuilder().clearVariant().build();
        boolean summed = false;
        var events =
                ExperimentServiceGrpc.newBlockingStub(authorized)
                        .withDeadlineAfter(STUCK_SECONDS, TimeUnit.SECONDS)
                        .compare(CompareRequest.newBuilder().setInput(input).build());
        while (events.hasNext()) {
            summed |= events.next().hasSummary();
        }
        return summed ? "OK" : "no summary";
    }

    private ModelInferRequest tensors(int tokens) {
        var request = ModelInferRequest.newBuilder().setModelName(random.nextBoolean() ? "original" : "compressed");
        request.addInputsBuilder()
                .setName("text_input")
                .setDatatype("BYTES")
                .addShape(1)
                .getContentsBuilder()
                .addBytesContents(ByteString.copyFromUtf8("The dog " + random.nextInt()));
        return request.putParameters("max_tokens", InferParameter.newBuilder().setInt64Param(tokens).build())
                .putParameters("ignore_eos", InferParameter.newBuilder().setBoolParam(true).build())
                .build();
    }

    /// Several requests in one stream.
    ///
    /// @param leave whether to leave amid them
    private String inferStream(int requests, boolean leave) throws InterruptedException {
        var end = new CompletableFuture<String>();
        var answers = new AtomicInteger();
        var observer =
                new StreamObserver<ModelStreamInferResponse>() {
                    @Override
                    public void onNext(ModelStreamInferResponse response) {
                        answers.incrementAndGet();
                    }

                    @Override
                    public void onError(Throwable error) {
                        end.complete(Status.fromThrowable(error).getCode().name());
                    }

                    @Override
                    public void onCompleted() {
                        end.complete(answers.get() == requests ? "OK" : answers + " of " + requests);
                    }
                };
        var stream =
                (ClientCallStreamObserver<ModelInferRequest>)
                        GRPCInferenceServiceGrpc.newStub(authorized).modelStreamInfer(observer);
        for (int i = 0; i < requests; i++) {
            stream.onNext(tensors(leave ? 400 : 1 + random.nextInt(16)));
        }
        if (leave) {
            TimeUnit.MILLISECONDS.sleep(random.nextInt(500));
            stream.cancel("leaves", null);
        } else {
            stream.onCompleted();
        }
        return await(end);
    }

    private GenerationInput input(int tokens) {
        var input = GenerationInput.newBuilder().setStopping(Stopping.newBuilder().setMaxNewTokens(tokens).setIgnoreEos(true));
        if (random.nextBoolean()) {
            input.setTokenIds(ids(1 + random.nextInt(100)));
        } else {
            input.setText("Once upon a time there was a number " + random.nextInt());
        }
        if (random.nextBoolean()) {
            input.setTemperature(0.8f).setSampling(RandomSampling.newBuilder().setTopP(0.9f).setSeed(random.nextLong()));
        }
        return input.setVariant(random.nextBoolean() ? "original" : "compressed").build();
    }

    private TokenIds ids(int count) {
        var ids = TokenIds.newBuilder();
        for (int i = 0; i < count; i++) {
            ids.addIds(random.nextInt(VOCABULARY));
        }
        return ids.build();
    }

    private GenerationInput bad() {
        var input = input(5).toBuilder();
        return switch (random.nextInt(6)) {
            case 0 -> input.setTemperature(Float.NaN).build();
            case 1 -> input.setSampling(RandomSampling.newBuilder().setTopP(2)).build();
            case 2 -> input.setTokenIds(TokenIds.newBuilder().addIds(-1)).build();
            case 3 -> input.setTokenIds(TokenIds.newBuilder()).build();
            case 4 -> input.setStopping(Stopping.newBuilder().setMaxNewTokens(0)).build();
            default -> input.setRequestId("r".repeat(1000)).build();
        };
    }

    /// A streamed call.
    ///
    /// @param pause milliseconds before each message is taken; -1 takes none and leaves after a while
    /// @param leave after so many messages; -1 never
    /// @param deadline in milliseconds; 0 for none
    private String stream(GenerationInput input, int pause, int leave, int deadline) throws InterruptedException {
        var end = new CompletableFuture<String>();
        var stub = GenerationServiceGrpc.newStub(authorized);
        if (deadline > 0) {
            stub = stub.withDeadlineAfter(deadline, TimeUnit.MILLISECONDS);
        }
        var reader = new Reader(end, pause, leave);
        stub.generateStream(GenerateStreamRequest.newBuilder().setInput(input).build(), reader);
        if (pause < 0) {
            TimeUnit.MILLISECONDS.sleep(500 + random.nextInt(2000));
            reader.call.cancel("leaves", null);
        }
        return await(end);
    }

    private static String await(CompletableFuture<String> end) throws InterruptedException {
        try {
            return end.get(STUCK_SECONDS, TimeUnit.SECONDS);
        } catch (TimeoutException e) {
            return "stuck";
        } catch (ExecutionException e) {
            return e.toString();
        }
    }

    private static final class Reader implements ClientResponseObserver<GenerateStreamRequest, GenerateStreamResponse> {
        private final CompletableFuture<String> end;
        private final int pause;
        private final int leave;
        private volatile ClientCallStreamObserver<GenerateStreamRequest> call;
        private int messages;
        private boolean finished;

        Reader(CompletableFuture<String> end, int pause, int leave) {
            this.end = end;
            this.pause = pause;
            this.leave = leave;
        }

        @Override
        public void beforeStart(ClientCallStreamObserver<GenerateStreamRequest> stream) {
            call = stream;
            stream.disableAutoRequestWithInitial(pause < 0 ? 0 : 1);
        }

        @Override
        public void onNext(GenerateStreamResponse event) {
            finished |= event.hasFinish();
            if (messages++ == leave) {
                call.cancel("leaves", null);
            } else if (pause == 0) {
                call.request(1);
            } else {
                CompletableFuture.delayedExecutor(pause, TimeUnit.MILLISECONDS).execute(() -> call.request(1));
            }
        }

        @Override
        public void onError(Throwable error) {
            end.complete(Status.fromThrowable(error).getCode().name());
        }

        @Override
        public void onCompleted() {
            end.complete(finished ? "OK" : "no finish");
        }
    }

    private byte[] noise(int length) {
        byte[] bytes = new byte[length];
        random.nextBytes(bytes);
        return bytes;
    }

    /// A right beginning, then frames of nonsense.
    private byte[] brokenHttp2() {
        byte[] begin = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0".getBytes(StandardCharsets.ISO_8859_1);
        byte[] all = Arrays.copyOf(begin, begin.length + 200);
        byte[] noise = noise(200);
        System.arraycopy(noise, 0, all, begin.length, noise.length);
        return all;
    }

    private static byte[] post(String body) {
        byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
        String head =
                "POST /v1/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer soak\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: "
                        + bytes.length
                        + "\r\n\r\n";
        return (head + body).getBytes(StandardCharsets.UTF_8);
    }

    private byte[] completion(int tokens, boolean stream) {
        return post(
                "{\"model\": \"compressed\", \"prompt\": \"Tom " + random.nextInt() + "\", \"max_tokens\": " + tokens
                        + ", \"ignore_eos\": true, \"stream\": " + stream + "}");
    }

    /// Sends bytes and hears whether the server closes the connection.
    private String raw(int port, byte[] bytes) throws IOException {
        try (var socket = new Socket(InetAddress.getLoopbackAddress(), port)) {
            socket.setSoTimeout(STUCK_SECONDS * 1000);
            socket.getOutputStream().write(bytes);
            socket.shutdownOutput();
            socket.getInputStream().readAllBytes();
            return "closed";
        } catch (SocketTimeoutException e) {
            return "stuck";
        } catch (SocketException e) {
            return "closed";
        }
    }

    /// Sends bytes to the HTTP port.
    ///
    /// @param wait for the whole answer; else leaves after its first bytes, or a moment
    /// @param half whether to send no more, which the server takes for leaving
    /// @return the answer's status
    private String http(byte[] bytes, boolean wait, boolean half) throws IOException {
        try (var socket = new Socket(InetAddress.getLoopbackAddress(), server.httpPort())) {
            socket.setSoTimeout(wait ? STUCK_SECONDS * 1000 : 1 + random.nextInt(300));
            socket.getOutputStream().write(bytes);
            if (!wait) {
                try {
                    socket.getInputStream().readNBytes(400);
                } catch (SocketTimeoutException e) {
                    return "left";
                }
                return "left";
            }
            if (half) {
                socket.shutdownOutput();
            }
            String answer = new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            String[] words = answer.split(" ", 3);
            return words.length > 1 && words[0].startsWith("HTTP/") ? words[1] : "closed";
        } catch (SocketTimeoutException e) {
            return "stuck";
        } catch (SocketException e) {
            return "closed";
        }
    }

    @Override
    public void close() {
        channel.shutdownNow();
    }
}
