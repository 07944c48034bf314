package dev.lithe.cli;

import dev.lithe.checkpoint.Hub;
import dev.lithe.checkpoint.HubId;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `lithe pull`: fetches a model from the hub.
@Command(
        name = "pull",
        description =
                "Fetch a model from the Hugging Face hub into its cache (HF_HOME, HF_TOKEN,"
                        + " HF_ENDPOINT, HF_HUB_OFFLINE); what was begun is gone on with.")
final class PullCommand implements Callable<Integer> {
    private static final long MEGABYTE = 1_000_000;

    @Spec private CommandSpec spec;

    @Parameters(paramLabel = "ORG/NAME[@REVISION]", description = "The model's id on the hub.")
    private String id = "";

    private @Nullable Progress progress;
    private long rest;

    @Override
    public Integer call() {
        PrintWriter err = spec.commandLine().getErr();
        try {
            Path folder =
                    Hub.of(System.getenv())
                            .pull(
                                    HubId.require(id),
                                    (files, bytes) -> {
                                        if (files > 0) {
                                            progress =
                                                    Progress.bar(
                                                            "MB",
                                                            Math.ceilDiv(bytes, MEGABYTE),
                                                            err);
                                        }
                                        return this::advance;
                                    });
            spec.commandLine().getOut().println(folder);
        } finally {
            if (progress != null) {
                progress.close();
            }
        }
        return 0;
    }

    private void advance(long bytes) {
        rest += bytes;
        if (progress != null && rest >= MEGABYTE) {
            progress.advance(rest / MEGABYTE, "");
            rest %= MEGABYTE;
        }
    }
}
