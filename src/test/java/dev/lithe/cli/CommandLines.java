package dev.lithe.cli;

/// For tests elsewhere that have command lines to check.
public final class CommandLines {
    private CommandLines() {}

    /// Throws where an option or a command is not known; runs nothing.
    public static void parse(String... arguments) {
        Main.commandLine().parseArgs(arguments);
    }
}
