package dev.lithe.serve;

import dev.lithe.engine.Ticket;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.proto.inference.ModelInferRequest;
import dev.lithe.proto.inference.ModelInferResponse;
import dev.lithe.proto.inference.ModelStreamInferResponse;
import dev.lithe.route.Route;
import io.grpc.stub.StreamObserver;
import java.util.HashMap;
import java.util.Map;

/// One `ModelStreamInfer`: requests come and are answered at the same time, each under its id. It
/// ends once the client has no more requests and all are answered. Sends are in turn, whichever
/// thread they come from.
final class InferStream implements StreamObserver<ModelInferRequest> {
    private static final int MAX_OPEN = 64;

    private final Call<ModelStreamInferResponse> call;
    private final Preparation preparation;
    private final Generations generations;
    private final Map<One, Ticket> tickets = new HashMap<>();
    private int open = 1;
    private boolean first = true;

    /// Answers in a row that the client had no room for.
    private int unheard;

    private boolean over;

    InferStream(
            Call<ModelStreamInferResponse> call, Preparation preparation, Generations generations) {
        this.call = call;
        this.preparation = preparation;
        this.generations = generations;
        call.runs(this::cancel);
    }

    private synchronized void cancel() {
        tickets.values().forEach(Ticket::cancel);
    }

    @Override
    public void onNext(ModelInferRequest request) {
        if (isOver()) {
            return;
        }
        var one = new One(request);
        try {
            begin();
        } catch (RuntimeException e) {
            one.refuse(e);
            return;
        }
        preparation.run(one, request, one::submit);
    }

    private synchronized void begin() {
        if (open > MAX_OPEN) {
            throw LitheException.of(
                    Fault.EXHAUSTED,
                    "%d requests of this stream are open, which is the limit; wait for their"
                            + " answers",
                    MAX_OPEN);
        }
        call.admitFurther(first ? 0 : 1);
        first = false;
        open++;
    }

    private synchronized void end() {
        open--;
        if (open == 0 && !over) {
            call.complete();
        }
    }

    private synchronized boolean isOver() {
        return over;
    }

    /// Ends the stream where its client reads so little that answers would pile up.
    private synchronized void send(ModelStreamInferResponse response) {
        if (over) {
            return;
        }
        unheard = call.ready() ? 0 : unheard + 1;
        if (unheard <= MAX_OPEN) {
            call.send(response);
            return;
        }
        over = true;
        cancel();
        call.fail(
                LitheException.of(
                        Fault.EXHAUSTED,
                        "the reader took none of %d answers; read faster or ask for less",
                        MAX_OPEN));
    }

    @Override
    public void onError(Throwable error) {
        cancel();
    }

    @Override
    public void onCompleted() {
        end();
    }

    /// One request of the stream.
    private final class One implements Preparation.Caller {
        private final ModelInferRequest request;
        private boolean ended;

        private One(ModelInferRequest request) {
            this.request = request;
        }

        private void submit() {
            var tensors = new InferTensors(request);
            var choice =
                    new CallVariant.Choice(
                            call.choice().asked(), call.choice().key(), call.choice().record());
            Route route = generations.routeModel(request.getModelName(), choice);
            var sink =
                    new InferSink(
                            tensors,
                            route,
                            tensors.streaming(),
                            new StringBuilder(),
                            call::ready,
                            this::answer,
                            this::end,
                            this::fail);
            Ticket ticket =
                    generations.submit(tensors.input(), route, choice, call.deadline(), sink);
            synchronized (InferStream.this) {
                if (!ended) {
                    tickets.put(this, ticket);
                }
            }
            if (call.over()) {
                ticket.cancel();
            }
        }

        private void answer(ModelInferResponse response) {
            send(ModelStreamInferResponse.newBuilder().setInferResponse(response).build());
        }

        @Override
        public boolean over() {
            return call.over();
        }

        @Override
        public void fail(RuntimeException error) {
            refuse(error);
            end();
        }

        private void end() {
            synchronized (InferStream.this) {
                ended = true;
                tickets.remove(this);
                InferStream.this.end();
            }
        }

        private void refuse(RuntimeException error) {
            var response = ModelInferResponse.newBuilder().setId(request.getId());
            String message = String.valueOf(Statuses.of(error).getStatus().getDescription());
            send(
                    ModelStreamInferResponse.newBuilder()
                            .setErrorMessage(message)
                            .setInferResponse(response)
                            .build());
        }
    }
}
