package dev.lithe.tensor;

import dev.lithe.fault.LitheException;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.util.Optional;

/// How a process ends that has libtorch in it. A process that a signal or `System.exit` ends while
/// a kernel runs on another thread takes libtorch's global objects away from under it, and crashes
/// one time out of three. So none are: all that Java has to do at the end it has done by then.
final class ProcessEnd {
    private ProcessEnd() {}

    /// From now on the process ends without running what native libraries registered for its end.
    /// Does nothing where the C library is not GNU's.
    static void leaveLibrariesAlone() {
        // at shutdown, so that it stands before whatever libraries register until then
        Runtime.getRuntime()
                .addShutdownHook(
                        Thread.ofPlatform().name("lithe-end").unstarted(ProcessEnd::registerExit));
    }

    /// `on_exit(_exit, NULL)`: what is registered last is called first, with the exit status.
    @SuppressWarnings("restricted") // a call of libc, declared in the manifest as native access
    private static void registerExit() {
        Linker linker = Linker.nativeLinker();
        SymbolLookup libc = linker.defaultLookup();
        Optional<MemorySegment> onExit = libc.find("on_exit");
        Optional<MemorySegment> exit = libc.find("_exit");
        if (onExit.isEmpty() || exit.isEmpty()) {
            return;
        }
        var signature =
                FunctionDescriptor.of(
                        ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.ADDRESS);
        try {
            int _ =
                    (int)
                            linker.downcallHandle(onExit.get(), signature)
                                    .invokeExact(exit.get(), MemorySegment.NULL);
        } catch (Throwable e) {
            throw LitheException.internal("the end of the process cannot be arranged", e);
        }
    }
}
