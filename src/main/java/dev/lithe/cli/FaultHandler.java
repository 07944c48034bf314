package dev.lithe.cli;

import dev.lithe.fault.LitheException;
import picocli.CommandLine;
import picocli.CommandLine.IExecutionExceptionHandler;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;

/// Turns trouble into one line on standard error and an exit code: 2 for what the user can mend, 3
/// for a missed quality gate, 1 for the rest. The stack trace is for `--verbose`.
final class FaultHandler implements IExecutionExceptionHandler {
    private static final int FAILED = 1;
    private static final int BAD_INPUT = 2;
    private static final int QUALITY_GATE = 3;

    @Override
    public int handleExecutionException(Exception e, CommandLine command, ParseResult parsed) {
        boolean verbose = verbose(command);
        String message =
                e instanceof LitheException known
                        ? known.getMessage()
                        : "unexpected " + e + "; run again with --verbose and report it";
        command.getErr().println("lithe: " + message);
        if (verbose) {
            e.printStackTrace(command.getErr());
        }
        return exitCode(e);
    }

    /// One line instead of the whole usage.
    static int badArguments(ParameterException e, String... arguments) {
        CommandLine command = e.getCommandLine();
        String reason = String.valueOf(e.getMessage()).lines().findFirst().orElse("");
        command.getErr()
                .println(
                        "lithe: "
                                + reason
                                + "; see '"
                                + command.getCommandSpec().qualifiedName()
                                + " --help'");
        return exitCode(e);
    }

    private static boolean verbose(CommandLine command) {
        Object root = command;
        for (CommandLine at = command; at != null; at = at.getParent()) {
            root = at.getCommand();
        }
        return root instanceof LitheCommand lithe && lithe.verbose();
    }

    static int exitCode(Throwable e) {
        if (e instanceof ParameterException) {
            return BAD_INPUT; // an option or argument that the command line does not take
        }
        if (!(e instanceof LitheException known)) {
            return FAILED;
        }
        return switch (known.fault()) {
            case BAD_INPUT, NOT_FOUND -> BAD_INPUT;
            case QUALITY_GATE -> QUALITY_GATE;
            case EXHAUSTED, UNAVAILABLE, CANCELLED, DEADLINE, INTERNAL -> FAILED;
        };
    }
}
