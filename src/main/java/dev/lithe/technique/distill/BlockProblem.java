package dev.lithe.technique.distill;

import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;

/// One block of a student before the stream that the teacher's leaves; [#enter] and [#leave] take
/// the windows from block to block.
final class BlockProblem implements Problem, AutoCloseable {
    private final FlatModel student;
    private final FlatModel teacher;
    private final Batches batches;
    private TensorScope streams = TensorScope.open();
    private Map<long[], Value> before = new IdentityHashMap<>();
    private Map<long[], Value> targets = new IdentityHashMap<>();
    private TensorScope own = TensorScope.open();
    private int block;
    private Value leaves;
    private Value sum;

    BlockProblem(FlatModel student, FlatModel teacher, Batches batches) {
        this.student = student;
        this.teacher = teacher;
        this.batches = batches;
        for (long[] window : batches.all()) {
            try (var step = TensorScope.open()) {
                Value ids = Batches.ids(new long[][] {window}, step);
                before.put(window, embedded(student, ids));
                targets.put(window, embedded(teacher, ids));
            }
        }
        this.leaves = student.leaves();
        this.sum = leaves;
    }

    private Value embedded(FlatModel model, Value ids) {
        return streams.call(
                "train_embed", ids, model.arguments().getFirst(), model.arguments().getLast());
    }

    /// Stands before block `number`, which is the next one.
    void enter(int number) {
        block = number;
        own.close();
        own = TensorScope.open();
        leaves = student.leaves(block, own);
        boolean learns = !leaves.members().isEmpty(); // a block may be without all of its parts
        sum = learns ? own.list(own.train("train_zeros", leaves)) : leaves;
        targets.replaceAll((_, stream) -> through(teacher, stream, streams));
    }

    /// Goes behind the block.
    void leave() {
        TensorScope next = TensorScope.open();
        before.replaceAll((_, stream) -> through(student, stream, next));
        targets.replaceAll((_, stream) -> next.keep(stream));
        streams.close();
        streams = next;
    }

    private Value through(FlatModel model, Value stream, TensorScope into) {
        List<Object> arguments = new ArrayList<>(List.of(stream, block));
        arguments.addAll(model.arguments());
        return into.call("train_through", arguments.toArray());
    }

    @Override
    public Value leaves() {
        return leaves;
    }

    @Override
    public Value sum() {
        return sum;
    }

    @Override
    public void clear() {
        try (var step = TensorScope.open()) {
            Value _ = step.call("train_clear", sum);
        }
    }

    private List<Value> arguments(long[][] windows, TensorScope step) {
        List<Value> arguments = new ArrayList<>();
        for (Map<long[], Value> each : List.of(before, targets)) {
            List<Value> pieces = Arrays.stream(windows).map(each::get).toList();
            arguments.add(step.call("concat_rows", step.list(pieces)));
        }
        arguments.add(step.tensor(new long[] {block}, 1));
        arguments.addAll(student.arguments());
        return arguments;
    }

    @Override
    public double add(int number) {
        try (var step = TensorScope.open()) {
            List<Value> arguments = arguments(batches.batch(number), step);
            arguments.add(leaves);
            arguments.add(sum);
            return step.train("train_local_gradient", arguments.toArray(Value[]::new))
                    .getFirst()
                    .floats()[0];
        }
    }

    @Override
    public double heldOut() {
        try (var step = TensorScope.open()) {
            Object[] arguments = arguments(batches.heldOut(), step).toArray();
            return step.call("train_local_loss", arguments).number();
        }
    }

    @Override
    public int tokens() {
        return batches.tokens();
    }

    @Override
    public void close() {
        streams.close();
        own.close();
    }
}
