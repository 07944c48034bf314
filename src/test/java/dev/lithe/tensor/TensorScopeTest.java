package dev.lithe.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lithe.Resident;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntConsumer;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;

/// Who owns what: values live as long as their scope, and not longer.
class TensorScopeTest {
    private static final int ELEMENTS = 64 * 1024;
    private static final long MAX_GROWTH = 50L << 20;

    @Test
    void closingFreesAllThatCameThroughTheScope() throws IOException {
        assertThat(growth(TensorScopeTest::loops)).isLessThan(MAX_GROWTH);
    }

    /// The median growth over rounds of a thousand loops: Java's own heap comes and goes, but a
    /// leak of the smallest value (64 kB) adds more than the limit in every round.
    private static long growth(IntConsumer loops) throws IOException {
        long[] rounds = new long[5];
        for (int round = 0; round < rounds.length; round++) {
            long before = Resident.bytes();
            loops.accept(1000);
            rounds[round] = Resident.bytes() - before;
        }
        Arrays.sort(rounds);
        return rounds[rounds.length / 2];
    }

    /// Each loop makes about two megabytes, in every way there is to make a value.
    private static void loops(int count) {
        float[] elements = new float[ELEMENTS];
        long[] longs = new long[ELEMENTS];
        ByteBuffer bytes = ByteBuffer.allocate(ELEMENTS);
        for (int i = 0; i < count; i++) {
            try (var scope = TensorScope.open()) {
                Value x = scope.tensor(elements, 256, 256);
                Value n = scope.tensor(longs, ELEMENTS);
                Value half = scope.call("cast", x, DType.F16.code());
                Value list = scope.list(List.of(x, half, scope.bytes(bytes), n));
                assertThat(list.members()).hasSize(4);
                assertThat(scope.keep(half).dtype()).isEqualTo(DType.F16);
                assertThat(half.floats()).hasSize(ELEMENTS);
                assertThat(x.size(-1)).isEqualTo(256);
                assertThat(list.bytes()).isEqualTo(ELEMENTS * (4L + 2 + 1 + 8));
                assertThat(n.rawBytes().remaining()).isEqualTo(ELEMENTS * 8);
            }
        }
    }

    @Test
    void failingKernelsFreeTheirArgumentsToo() throws IOException {
        assertThat(growth(TensorScopeTest::fail)).isLessThan(MAX_GROWTH);
    }

    private static void fail(int count) {
        float[] elements = new float[ELEMENTS];
        for (int i = 0; i < count; i++) {
            try (var scope = TensorScope.open()) {
                Value x = scope.tensor(elements, 256, 256);
                assertThatThrownBy(() -> scope.call("rotate", x, x, x))
                        .isInstanceOf(LitheException.class);
            }
        }
    }

    @Test
    void elementsSurviveTheArraysTheyCameFrom() {
        int count = 50;
        try (var scope = TensorScope.open()) {
            List<Value> tensors = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                float[] elements = new float[ELEMENTS];
                Arrays.fill(elements, i);
                tensors.add(scope.tensor(elements, ELEMENTS));
                ByteBuffer bytes = ByteBuffer.allocateDirect(ELEMENTS);
                while (bytes.hasRemaining()) {
                    bytes.put((byte) i);
                }
                tensors.add(scope.bytes(bytes.flip()));
            }
            for (int i = 0; i < 3; i++) {
                System.gc();
                loops(20);
            }
            for (int i = 0; i < count; i++) {
                assertThat(tensors.get(2 * i).floats()).containsOnly(i);
                assertThat(tensors.get(2 * i + 1).longs()).containsOnly(i);
            }
        }
    }

    @Test
    void laterChangesOfAnArrayDoNotReachTheTensor() {
        try (var scope = TensorScope.open()) {
            float[] elements = {1, 2};
            long[] longs = {3, 4};
            Value x = scope.tensor(elements, 2);
            Value n = scope.tensor(longs, 2);
            elements[0] = 9;
            longs[0] = 9;
            assertThat(x.floats()).containsExactly(1, 2);
            assertThat(n.longs()).containsExactly(3, 4);
        }
    }

    @Test
    void aKeptValueOutlivesTheScopeItCameFrom() {
        try (var outer = TensorScope.open()) {
            Value kept;
            try (var inner = TensorScope.open()) {
                kept = outer.keep(inner.tensor(new float[] {1, 2, 3}, 3));
            }
            System.gc();
            loops(20);
            assertThat(kept.floats()).containsExactly(1, 2, 3);
        }
    }

    @Test
    void aValueOfAClosedScopeIsRefusedRatherThanRead() {
        Value x;
        try (var scope = TensorScope.open()) {
            x = scope.tensor(new float[] {1}, 1);
        }
        assertThatThrownBy(x::floats).isInstanceOf(RuntimeException.class);
        assertThatThrownBy(x::shape).isInstanceOf(RuntimeException.class);
    }

    @Test
    void aFailingKernelGivesItsReasonInOneLine() {
        try (var scope = TensorScope.open()) {
            Value x = scope.tensor(new float[] {1, 2, 3}, 3);
            failed(() -> scope.call("concat_rows", scope.list(List.of())), "concat_rows");
            failed(() -> scope.call("unpack", x, 4, "three"), "unpack");
            failed(() -> scope.call("unpack", x), "unpack");
            failed(() -> scope.call("no_such_kernel", x), "no_such_kernel");
            failed(() -> scope.call("same", new Object()), "java.lang.Object");
            assertThat(x.floats()).as("still usable").containsExactly(1, 2, 3);
        }
    }

    private static void failed(ThrowingCallable call, String part) {
        assertThatThrownBy(call)
                .isInstanceOfSatisfying(
                        LitheException.class, e -> assertThat(e.fault()).isEqualTo(Fault.INTERNAL))
                .hasMessageContaining(part)
                .hasMessageNotContainingAny("\n", "\r", "Traceback", "File \"");
    }
}
