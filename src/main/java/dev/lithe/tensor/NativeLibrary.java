package dev.lithe.tensor;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/// The library that `src/main/c` is built into, where it was built for this system. It is a
/// resource, which is copied to `~/.cache/lithe` (or under `XDG_CACHE_HOME`, or where neither can
/// be written to the temporary folder) under a name that holds its hash, and loaded from there.
///
/// `LITHE_KERNELS` chooses the instructions that it uses, or `libtorch` to do without.
public final class NativeLibrary {
    static final String LIBTORCH = "libtorch";

    private static final String VARIABLE = "LITHE_KERNELS";
    private static final String RESOURCE =
            "/native/%s-%s/liblithe.so"
                    .formatted(System.getProperty("os.name"), System.getProperty("os.arch"));
    private static final int HASH_DIGITS = 16;

    private NativeLibrary() {}

    private static final class Loaded {
        static final @Nullable SymbolLookup SYMBOLS = load();
        static final List<Instructions> RUNNABLE = runnable();
        static final Optional<Instructions> CHOSEN = choose();
    }

    /// What the kernels run on; empty where libtorch computes everything.
    public static Optional<Instructions> chosen() {
        try {
            return Loaded.CHOSEN;
        } catch (ExceptionInInitializerError e) {
            throw Torch.unwrap(e);
        }
    }

    /// The sets of instructions that this processor runs, best last.
    public static List<Instructions> runnable() {
        SymbolLookup symbols = Loaded.SYMBOLS;
        if (symbols == null) {
            return List.of();
        }
        MethodHandle runs =
                function(
                        "lithe_runs",
                        FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT));
        return Arrays.stream(Instructions.values()).filter(each -> runs(runs, each)).toList();
    }

    private static boolean runs(MethodHandle handle, Instructions instructions) {
        return NativeCall.value(() -> (int) handle.invokeExact(instructions.ordinal())) != 0;
    }

    private static Optional<Instructions> choose() {
        String wish = System.getenv(VARIABLE);
        if (wish == null || wish.isEmpty()) {
            return Loaded.RUNNABLE.isEmpty()
                    ? Optional.empty()
                    : Optional.of(Loaded.RUNNABLE.getLast());
        }
        if (wish.equals(LIBTORCH)) {
            return Optional.empty();
        }
        Instructions wanted = Instructions.parse(wish);
        if (!Loaded.RUNNABLE.contains(wanted)) {
            throw LitheException.badInput(
                    "%s is '%s', which this machine does not run; it runs %s",
                    VARIABLE,
                    wish,
                    Loaded.RUNNABLE.isEmpty()
                            ? LIBTORCH + " only"
                            : Loaded.RUNNABLE.stream().map(Instructions::label).toList());
        }
        return Optional.of(wanted);
    }

    /// A function of the library.
    @SuppressWarnings("restricted") // declared in the manifest as native access
    static MethodHandle function(String name, FunctionDescriptor signature) {
        SymbolLookup symbols = Loaded.SYMBOLS;
        if (symbols == null) {
            throw LitheException.of(Fault.INTERNAL, "there is no native library %s", RESOURCE);
        }
        return Linker.nativeLinker().downcallHandle(symbols.findOrThrow(name), signature);
    }

    @SuppressWarnings("restricted")
    private static @Nullable SymbolLookup load() {
        try (InputStream resource = NativeLibrary.class.getResourceAsStream(RESOURCE)) {
            if (resource == null) {
                return null;
            }
            Path file = extract(resource.readAllBytes());
            return SymbolLookup.libraryLookup(file, Arena.global());
        } catch (IOException | IllegalArgumentException e) {
            System.getLogger(NativeLibrary.class.getName())
                    .log(
                            System.Logger.Level.WARNING,
                            "the native kernels do not load, libtorch computes instead: {0}",
                            e.getMessage());
            return null;
        }
    }

    private static Path extract(byte[] library) throws IOException {
        String name = "liblithe-" + hash(library) + ".so";
        try {
            return place(library, cache().resolve("lithe"), name);
        } catch (IOException _) {
            return place(library, Files.createTempDirectory("lithe"), name);
        }
    }

    private static Path cache() {
        String cache = System.getenv("XDG_CACHE_HOME");
        return cache == null || cache.isEmpty()
                ? Path.of(System.getProperty("user.home"), ".cache")
                : Path.of(cache);
    }

    /// Two programs that start at once each move a whole file there.
    private static Path place(byte[] library, Path folder, String name) throws IOException {
        Path file = folder.resolve(name);
        if (Files.isRegularFile(file) && Arrays.equals(Files.readAllBytes(file), library)) {
            return file;
        }
        Files.createDirectories(folder);
        Path part = Files.createTempFile(folder, name, ".part");
        Files.write(part, library);
        return Files.move(part, file, StandardCopyOption.ATOMIC_MOVE);
    }

    private static String hash(byte[] content) {
        try {
            byte[] digest = MessageDigest.getInstance("SHA-256").digest(content);
            return HexFormat.of().formatHex(digest).substring(0, HASH_DIGITS);
        } catch (NoSuchAlgorithmException e) {
            throw LitheException.internal("this JDK has no SHA-256", e);
        }
    }
}
