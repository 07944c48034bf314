package dev.lithe.cli;

import dev.lithe.checkpoint.Hub;
import dev.lithe.checkpoint.HubId;
import java.nio.file.Path;
import java.util.concurrent.Callable;
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
    @Spec private CommandSpec spec;

    @Parameters(paramLabel = "ORG/NAME[@REVISION]", description = "The model's id on the hub.")
    private String id = "";

    @Override
    public Integer call() {
        Hub hub = Hub.of(System.getenv());
        Path folder = PullProgress.pull(hub, HubId.require(id), spec.commandLine().getErr());
        spec.commandLine().getOut().println(folder);
        return 0;
    }
}
