package dev.lithe.tensor;

import ai.djl.engine.Engine;
import ai.djl.ndarray.NDManager;
import ai.djl.pytorch.engine.PtNDManager;
import ai.djl.pytorch.jni.JniUtils;
import dev.lithe.fault.LitheException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/// Starts libtorch once, with the settings that decide its speed, and tells what it runs on.
public final class Torch {
    private static final String NAME = "PyTorch";

    private Torch() {}

    private static final class Started {
        static final Engine ENGINE = start();
    }

    private static Engine engine() {
        try {
            return Started.ENGINE;
        } catch (ExceptionInInitializerError e) {
            throw unwrap(e);
        }
    }

    /// The reason why a holder class did not initialise, as an exception that callers can handle.
    static LitheException unwrap(ExceptionInInitializerError e) {
        return e.getCause() instanceof LitheException known
                ? known
                : LitheException.internal("libtorch did not start: " + e.getCause(), e);
    }

    private static Engine start() {
        // Idle OpenMP threads must sleep, not spin: on shared cores spinning costs a factor of six
        // per step.
        if (System.getenv("OMP_WAIT_POLICY") == null) {
            setEnvironment("OMP_WAIT_POLICY", "PASSIVE");
        }
        System.setProperty("ai.djl.offline", System.getProperty("ai.djl.offline", "true"));
        System.setProperty("OPT_OUT_TRACKING", "true");
        try {
            return Engine.getEngine(NAME);
        } catch (RuntimeException | LinkageError e) {
            throw LitheException.internal(
                    "libtorch did not start: "
                            + e.getMessage()
                            + "; check DJL_CACHE_DIR and disk space",
                    e);
        }
    }

    @SuppressWarnings("restricted") // one call of libc, declared in the manifest as native access
    private static void setEnvironment(String name, String value) {
        Linker linker = Linker.nativeLinker();
        MemorySegment setenv = linker.defaultLookup().find("setenv").orElse(MemorySegment.NULL);
        if (setenv.equals(MemorySegment.NULL)) {
            return;
        }
        var signature =
                FunctionDescriptor.of(
                        ValueLayout.JAVA_INT,
                        ValueLayout.ADDRESS,
                        ValueLayout.ADDRESS,
                        ValueLayout.JAVA_INT);
        try (Arena arena = Arena.ofConfined()) {
            var call = linker.downcallHandle(setenv, signature);
            int _ = (int) call.invokeExact(arena.allocateFrom(name), arena.allocateFrom(value), 1);
        } catch (Throwable e) {
            throw LitheException.internal(
                    "cannot set " + name + " in this process; set it in the shell", e);
        }
    }

    /// Applies libtorch's per-thread settings to the calling thread. A thread other than the one
    /// that first used a tensor calls it before it computes; without it the first steps are
    /// optimized for each new shape, which takes longer than they do.
    public static void useOnThisThread() {
        Engine _ = engine();
        JniUtils.setGraphExecutorOptimize(false);
    }

    static PtNDManager newManager() {
        Engine _ = engine();
        return (PtNDManager) NDManager.newBaseManager(NAME);
    }

    /// libtorch's version, as `2.7.1`.
    public static String version() {
        return engine().getVersion();
    }

    /// What computes: `cpu` or `gpu(0)`.
    public static String device() {
        return engine().defaultDevice().toString().replace("()", "");
    }

    /// Threads that one operation may use.
    public static int threads() {
        Engine _ = engine();
        return JniUtils.getNumThreads();
    }
}
