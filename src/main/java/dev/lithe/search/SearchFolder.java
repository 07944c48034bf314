package dev.lithe.search;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLGenerator;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import dev.lithe.checkpoint.ModelSource;
import dev.lithe.fault.LitheException;
import dev.lithe.report.ReportFolder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Locale;

/// What a search leaves in its folder for people.
final class SearchFolder {
    private static final YAMLMapper YAML =
            YAMLMapper.builder()
                    .disable(YAMLGenerator.Feature.WRITE_DOC_START_MARKER)
                    .enable(YAMLGenerator.Feature.MINIMIZE_QUOTES)
                    .build();

    private SearchFolder() {}

    /// The best recipe so far, as any other recipe, with what it came to in comments.
    static void writeRecipe(Request request, Proposal proposal, Outcome outcome, Rung rung) {
        String measured =
                String.format(
                        Locale.ROOT,
                        "# %s of %s: %d bytes, perplexity ratio %.4f, KL %.5f, by lithe search (%s)%n",
                        proposal.summary(),
                        request.modelName(),
                        outcome.bytes(),
                        outcome.perplexityRatio(),
                        outcome.kl(),
                        rung == Rung.FINAL ? "on the evaluation text" : "on held-out tokens");
        ObjectNode recipe = proposal.stages().deepCopy();
        if (!request.calibrationText().equals(ModelSource.demoCalibrationText())) {
            Path text = request.calibrationText().toAbsolutePath().normalize();
            recipe.putObject("calibration").put("text", text.toString());
        }
        Path file = request.folder().resolve("recipe.yaml");
        Path partial = request.folder().resolve("recipe.yaml.partial");
        try {
            Files.writeString(partial, measured + YAML.writeValueAsString(recipe));
            Files.move(partial, file, StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException e) {
            throw LitheException.badInput("%s cannot be written: %s", file, e.getMessage())
                    .causedBy(e);
        }
    }

    /// The winner's recipe, and a report with a plot of all finalists.
    static void write(Request request, SearchResult result) {
        SearchResult.Finalist winner = result.winner();
        writeRecipe(request, winner.proposal(), winner.outcome(), Rung.FINAL);
        ReportFolder.write(result.report(), request.folder());
    }
}
