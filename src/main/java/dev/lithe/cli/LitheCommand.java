package dev.lithe.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ScopeType;

/// `lithe`: the list of commands, and the options that all of them take.
@Command(
        name = "lithe",
        mixinStandardHelpOptions = true,
        versionProvider = Version.class,
        scope = ScopeType.INHERIT,
        synopsisSubcommandLabel = "COMMAND",
        description = "Makes a language model smaller, shows what that cost, and serves it.",
        subcommands = {
            BenchCommand.class,
            CompressCommand.class,
            EvaluateCommand.class,
            ExportCommand.class,
            GenerateCommand.class,
            InspectCommand.class,
            PullCommand.class,
            RunCommand.class,
            SearchCommand.class,
            ServeCommand.class,
            TechniquesCommand.class
        })
final class LitheCommand implements Runnable {
    @picocli.CommandLine.Spec private picocli.CommandLine.Model.CommandSpec spec;

    @Option(
            names = "--verbose",
            scope = ScopeType.INHERIT,
            description = "Show the program's log and, after a failure, where it happened.")
    private boolean verbose;

    boolean verbose() {
        return verbose;
    }

    @Override
    public void run() {
        spec.commandLine().usage(spec.commandLine().getOut());
    }
}
