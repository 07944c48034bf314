package dev.lithe.cli;

import io.quarkus.runtime.annotations.QuarkusMain;
import picocli.CommandLine;

/// Entry point. Commands run as plain Java; only those that serve start Quarkus, so that help,
/// inspection and compression neither wait for it nor open a port.
@QuarkusMain
public final class Main {
    private Main() {}

    /// Runs one command and exits with its code.
    public static void main(String... arguments) {
        System.exit(commandLine().execute(arguments));
    }

    /// The command line, ready to execute.
    static CommandLine commandLine() {
        var root = new LitheCommand();
        return new CommandLine(root)
                .setExecutionStrategy(parsed -> {
                    Logging.configure(root.verbose());
                    return new CommandLine.RunLast().execute(parsed);
                })
                .setCaseInsensitiveEnumValuesAllowed(true)
                .setExecutionExceptionHandler(new FaultHandler())
                .setExitCodeExceptionMapper(FaultHandler::exitCode);
    }
}
