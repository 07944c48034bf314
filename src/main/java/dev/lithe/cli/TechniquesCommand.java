package dev.lithe.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.lithe.technique.Technique;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/// `lithe techniques`: what a recipe's stages can be.
@Command(name = "techniques", description = "List the techniques that recipes are made of.")
final class TechniquesCommand implements Callable<Integer> {
    @Spec private CommandSpec spec;

    @Option(names = "--json", description = "Print JSON.")
    private boolean json;

    private record Row(String name, String family, String scope, String summary) {}

    @Override
    public Integer call() throws JsonProcessingException {
        List<Row> rows =
                Technique.all().stream()
                        .map(each ->
                                new Row(
                                        each.name(),
                                        each.family().label(),
                                        each.scope(),
                                        each.summary()))
                        .toList();
        var out = spec.commandLine().getOut();
        if (json) {
            out.println(new JsonMapper().writerWithDefaultPrettyPrinter().writeValueAsString(rows));
        } else {
            rows.forEach(row ->
                    out.printf(
                            "%-16s %-14s %-8s %s%n",
                            row.name(), row.family(), row.scope(), row.summary()));
        }
        return 0;
    }
}
