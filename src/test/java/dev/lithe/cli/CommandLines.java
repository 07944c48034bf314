package dev.lithe.cli;

/// For tests elsewhere that have command lines to check.
public final class CommandLines {
    private CommandLines() {}

    /// Throws where an option or a command is not known; runs nothing.
    public static void parse(String... arguments) {
        Main.commandLine().parseArgs(arguments);
    }

    /// What a command that ends well prints.
    public static String printed(String... arguments) {
        var run = CommandLineRun.of((Object[]) arguments);
        if (run.code() != 0) {
            throw new AssertionError(run.err());
        }
        return run.out();
    }
}
