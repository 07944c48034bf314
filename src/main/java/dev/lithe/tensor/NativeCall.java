package dev.lithe.tensor;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;

/// Calls functions of the native library, which throw only where the program is wrong.
final class NativeCall {
    @FunctionalInterface
    interface Returning<T> {
        T call() throws Throwable;
    }

    @FunctionalInterface
    interface Acting {
        void call() throws Throwable;
    }

    private NativeCall() {}

    static <T> T value(Returning<T> function) {
        try {
            return function.call();
        } catch (LitheException e) {
            throw e; // from an argument
        } catch (Throwable e) {
            throw LitheException.internal("a native kernel failed: " + e, e);
        }
    }

    /// Calls one that returns nothing, in a lambda of a block: as an expression, a handle's exact
    /// call returns an Object.
    static void run(Acting function) {
        value(() -> {
            function.call();
            return true;
        });
    }

    /// Calls one that returns 0 where memory is short for the model's weights.
    static void require(Returning<Integer> function) {
        if (value(function) == 0) {
            throw shortOfMemory();
        }
    }

    static LitheException shortOfMemory() {
        return LitheException.of(
                Fault.EXHAUSTED,
                "memory is too short for the model's weights; free some or choose fewer bits");
    }
}
