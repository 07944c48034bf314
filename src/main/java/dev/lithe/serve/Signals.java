package dev.lithe.serve;

import java.lang.System.Logger.Level;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Optional;

/// What signals do to this process.
final class Signals {
    private static final int INTERRUPT = 2;
    private static final int TERMINATE = 15;

    private Signals() {}

    /// Makes the next Ctrl-C or `SIGTERM` end the process without any more ado. The first began an
    /// orderly end, during which Java hears of no other; so they get back what the system does by
    /// itself. Does nothing where there is no C library.
    @SuppressWarnings("restricted") // one call of libc, declared in the manifest
    static void endAtOnce() {
        Linker linker = Linker.nativeLinker();
        Optional<MemorySegment> signal = linker.defaultLookup().find("signal");
        if (signal.isEmpty()) {
            return;
        }
        var signature =
                FunctionDescriptor.of(
                        ValueLayout.ADDRESS, ValueLayout.JAVA_INT, ValueLayout.ADDRESS);
        var call = linker.downcallHandle(signal.get(), signature);
        try {
            MemorySegment byDefault = MemorySegment.NULL; // SIG_DFL
            MemorySegment _ = (MemorySegment) call.invokeExact(INTERRUPT, byDefault);
            MemorySegment _ = (MemorySegment) call.invokeExact(TERMINATE, byDefault);
        } catch (Throwable e) {
            System.getLogger(Signals.class.getName())
                    .log(Level.DEBUG, "signals keep their meaning", e);
        }
    }
}
