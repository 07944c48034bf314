package dev.lithe.serve;

import dev.lithe.engine.Ticket;
import dev.lithe.fault.LitheException;
import dev.lithe.proto.v1.BatchGenerateRequest;
import dev.lithe.proto.v1.BatchGenerateResponse;
import dev.lithe.proto.v1.BatchGenerateResult;
import dev.lithe.proto.v1.GenerateResponse;
import dev.lithe.proto.v1.GenerationInput;
import io.grpc.protobuf.StatusProto;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReferenceArray;

/// The inputs of one `BatchGenerate` on their way through the engine, all at the same time. The
/// last that is done answers.
final class Batch {
    static final int MAX_INPUTS = 64;

    private final Call<BatchGenerateResponse> call;
    private final List<GenerationInput> inputs;
    private final AtomicReferenceArray<BatchGenerateResult> results;
    private final AtomicInteger open;

    Batch(Call<BatchGenerateResponse> call, BatchGenerateRequest request) {
        this.call = call;
        this.inputs = request.getInputsList();
        if (inputs.isEmpty() || inputs.size() > MAX_INPUTS) {
            throw LitheException.badField(
                    "inputs", "%d of them; use 1 to %d", inputs.size(), MAX_INPUTS);
        }
        call.admitFurther(inputs.size() - 1);
        this.results = new AtomicReferenceArray<>(inputs.size());
        this.open = new AtomicInteger(inputs.size());
    }

    void submit(Generations generations) {
        List<Ticket> tickets = new ArrayList<>();
        for (int i = 0; i < inputs.size(); i++) {
            int at = i;
            GenerationInput input = inputs.get(i);
            try {
                tickets.add(
                        generations.submit(
                                input,
                                call.choice(),
                                call.deadline(),
                                route ->
                                        new UnarySink(
                                                input.getRequestId(),
                                                route,
                                                answer -> done(at, answer),
                                                error -> failed(at, error))));
            } catch (RuntimeException e) {
                failed(at, e);
            }
        }
        call.runs(() -> tickets.forEach(Ticket::cancel));
    }

    private void done(int at, GenerateResponse response) {
        set(at, BatchGenerateResult.newBuilder().setResponse(response).build());
    }

    private void failed(int at, RuntimeException error) {
        var status = StatusProto.fromThrowable(Statuses.of(error));
        set(at, BatchGenerateResult.newBuilder().setError(status).build());
    }

    private void set(int at, BatchGenerateResult result) {
        results.set(at, result);
        if (open.decrementAndGet() == 0) {
            var response = BatchGenerateResponse.newBuilder();
            for (int i = 0; i < inputs.size(); i++) {
                response.addResults(results.get(i));
            }
            call.answer(response.build());
        }
    }
}
