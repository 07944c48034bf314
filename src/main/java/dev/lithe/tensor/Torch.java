package dev.lithe.tensor;

import ai.djl.engine.Engine;
import ai.djl.ndarray.NDManager;
import ai.djl.pytorch.engine.PtNDManager;
import ai.djl.pytorch.jni.JniUtils;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/// Starts libtorch once, with the settings that decide its speed, and tells what it runs on.
public final class Torch {
    private static final String NAME = "PyTorch";

    /// How long an idle OpenMP thread spins before it sleeps: about 0.2 ms. Without, waking it
    /// costs more than the operations of a small model (decoding is 3.5 times slower on idle
    /// cores); four times as long, and decoding is 3 times slower on cores shared with other work.
    private static final String SPIN_COUNT = "5000";

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
        setDefault("OMP_WAIT_POLICY", "PASSIVE");
        setDefault("GOMP_SPINCOUNT", SPIN_COUNT);
        System.setProperty("ai.djl.offline", System.getProperty("ai.djl.offline", "true"));
        System.setProperty("OPT_OUT_TRACKING", "true");
        Thread thread = Thread.currentThread();
        ClassLoader usual = thread.getContextClassLoader();
        try {
            // DJL looks for engines by this loader, and Quarkus' own may not see DJL's jars.
            thread.setContextClassLoader(Engine.class.getClassLoader());
            Engine engine = Engine.getEngine(NAME);
            ProcessEnd.leaveLibrariesAlone();
            return engine;
        } catch (RuntimeException | LinkageError e) {
            throw LitheException.internal(
                    "libtorch did not start: "
                            + e.getMessage()
                            + "; check DJL_CACHE_DIR and disk space, or set PYTORCH_LIBRARY_PATH to the lib"
                            + " folder of a libtorch and PYTORCH_VERSION to its version, 2.7.1",
                    e);
        } finally {
            thread.setContextClassLoader(usual);
        }
    }

    @SuppressWarnings("restricted") // one call of libc, declared in the manifest as native access
    private static void setDefault(String name, String value) {
        if (System.getenv(name) != null) {
            return;
        }
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

    /// Two calls of the GNU C library's allocator, where it is.
    private static final class Allocator {
        /// `int malloc_trim(size_t)`
        static final @Nullable MethodHandle TRIM = function("malloc_trim", ValueLayout.JAVA_LONG);

        /// `int mallopt(int, int)`
        static final @Nullable MethodHandle OPTION =
                function("mallopt", ValueLayout.JAVA_INT, ValueLayout.JAVA_INT);

        static final int MMAP_THRESHOLD = -3;
        static final int LARGE_BYTES = 2 << 20;

        /// Beyond it the library takes no block from the system singly, if it may choose.
        static final int MOST_BYTES = 32 << 20;

        @SuppressWarnings("restricted") // calls of libc, declared in the manifest
        private static @Nullable MethodHandle function(String name, MemoryLayout... arguments) {
            Linker linker = Linker.nativeLinker();
            return linker.defaultLookup()
                    .find(name)
                    .map(address ->
                            linker.downcallHandle(
                                    address,
                                    FunctionDescriptor.of(ValueLayout.JAVA_INT, arguments)))
                    .orElse(null);
        }
    }

    /// Gives memory that tensors no longer use back to the system. The C library keeps what was
    /// freed between two blocks in use, and never finds a use for much of it: over a block of a
    /// model that doubles what compressing takes. It costs some milliseconds.
    public static void releaseMemory() {
        MethodHandle trim = Allocator.TRIM;
        if (trim == null) {
            return;
        }
        try {
            int _ = (int) trim.invokeExact(0L);
        } catch (Throwable e) {
            throw LitheException.internal("memory cannot be given back", e);
        }
    }

    /// Whether tensors of 2 MB and more go back to the system as soon as they are freed. Half as
    /// much lies unused between others then, and work that makes many large tensors takes a fifth
    /// longer, since each of them starts as pages of zeros.
    public static void returnLargeBlocks(boolean atOnce) {
        MethodHandle option = Allocator.OPTION;
        if (option == null) {
            return;
        }
        try {
            int _ =
                    (int)
                            option.invokeExact(
                                    Allocator.MMAP_THRESHOLD,
                                    atOnce ? Allocator.LARGE_BYTES : Allocator.MOST_BYTES);
        } catch (Throwable e) {
            throw LitheException.internal("the allocator takes no option", e);
        }
    }

    /// A manager for tensors of the calling thread, for which graphs are optimized from now on:
    /// libtorch keeps that setting per thread, and decoding is a twelfth faster with it.
    static PtNDManager newManager() {
        Engine _ = engine();
        JniUtils.setGraphExecutorOptimize(true);
        return (PtNDManager) NDManager.newBaseManager(ai.djl.Device.cpu(), NAME);
    }

    /// Runs `work` on a thread of its own, which takes its OpenMP workers with it when it ends.
    /// Where two threads of a process have computed, their workers outnumber the cores; libgomp
    /// then lets none of them spin, and decoding a small model is three times slower.
    public static <T> T onOwnThread(Supplier<T> work) {
        var task = new FutureTask<T>(work::get);
        Thread.ofPlatform().name("lithe-torch").start(task);
        try {
            return task.get();
        } catch (ExecutionException e) {
            switch (e.getCause()) {
                case RuntimeException known -> throw known;
                case Error error -> throw error;
                case null, default -> throw LitheException.internal("the work broke off", e);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw LitheException.of(Fault.CANCELLED, "interrupted").causedBy(e);
        }
    }

    /// libtorch's version, as `2.7.1`.
    public static String version() {
        return engine().getVersion();
    }

    /// Threads that one operation may use.
    public static int threads() {
        Engine _ = engine();
        return JniUtils.getNumThreads();
    }
}
