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
        CommandLine commandLine = commandLine();
        int code;
        try {
            code = commandLine.execute(arguments);
        } catch (OutOfMemoryError e) {
            commandLine
                    .getErr()
                    .println("lithe: out of heap memory; set LITHE_JAVA_OPTS=-Xmx8g or more");
            code = FaultHandler.exitCode(e);
        }
        System.exit(code);
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
                .setParameterExceptionHandler(FaultHandler::badArguments)
                .setExitCodeExceptionMapper(FaultHandler::exitCode);
    }
}
