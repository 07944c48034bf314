package dev.lithe.cli;

import io.quarkus.bootstrap.logging.InitialConfigurator;
import java.util.logging.ConsoleHandler;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.Logger;

/// Logging for commands that do not start Quarkus: warnings go to standard error, all of it with
/// `--verbose`. Quarkus replaces this with its own configuration when it starts.
final class Logging {
    /// Kept, because a logger that nobody holds forgets its level.
    private static final Logger GRPC = Logger.getLogger("io.grpc");

    private Logging() {}

    static void configure(boolean verbose) {
        Level level = verbose ? Level.INFO : Level.WARNING;
        Logger.getLogger("").setLevel(level);
        // What goes wrong with a call is told in one line by the command that made it.
        GRPC.setLevel(verbose ? level : Level.SEVERE);
        var console = new ConsoleHandler();
        console.setLevel(level);
        InitialConfigurator.DELAYED_HANDLER.setHandlers(new Handler[] {console});
    }
}
