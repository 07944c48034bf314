package dev.lithe.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.model.Architecture;
import dev.lithe.model.Decoder;
import dev.lithe.model.KvCacheForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearReader;
import dev.lithe.model.ModelSpec;
import dev.lithe.report.Units;
import java.io.PrintWriter;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `lithe inspect`: a model's shapes and the form of each linear, from headers alone.
@Command(
        name = "inspect",
        description = "Show a model's shapes and how its weights are stored; checks every header.")
final class InspectCommand implements Callable<Integer> {
    @Spec private CommandSpec spec;

    @Parameters(
            paramLabel = "MODEL",
            description = "A Hugging Face model folder, a .gguf file, or 'demo'.")
    private String model = "";

    @Option(names = "--json", description = "Print JSON, with every linear.")
    private boolean json;

    private record LinearRow(
            String name, int outFeatures, int inFeatures, String form, long bytes) {}

    private record Inspection(
            String name,
            ModelSpec spec,
            long parameters,
            long bytesOnDisk,
            LinearRow embedding,
            List<LinearRow> linears) {}

    @Override
    public Integer call() throws JsonProcessingException {
        try (var checkpoint =
                Checkpoint.open(ModelFinder.folder(model, spec.commandLine().getErr()))) {
            Inspection inspection = inspect(checkpoint);
            PrintWriter out = spec.commandLine().getOut();
            if (json) {
                var mapper =
                        JsonMapper.builder()
                                .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
                                .build();
                out.println(mapper.writerWithDefaultPrettyPrinter().writeValueAsString(inspection));
            } else {
                print(inspection, out);
                out.printf("kernels      %s%n", kernels(checkpoint, inspection.spec()));
            }
        }
        return 0;
    }

    private static String kernels(Checkpoint checkpoint, ModelSpec spec) {
        return Decoder.instructions(spec, new LinearReader(checkpoint))
                .map(instructions -> "native, " + instructions.label())
                .orElse("libtorch");
    }

    private Inspection inspect(Checkpoint checkpoint) {
        ModelSpec shapes = ModelSpec.of(checkpoint.config(), checkpoint.folder() + "/config.json");
        var reader = new LinearReader(checkpoint);
        reader.checkAll(shapes);
        List<LinearRow> rows =
                Architecture.linears(shapes).stream().map(name -> row(name, reader)).toList();
        LinearName embedding = Architecture.parts(shapes).getFirst().linears().getFirst();
        return new Inspection(
                model,
                shapes,
                shapes.parameters(),
                checkpoint.tensorBytes(),
                row(embedding, reader),
                rows);
    }

    private static LinearRow row(LinearName name, LinearReader reader) {
        var form = reader.form(name);
        return new LinearRow(
                name.module(),
                name.outFeatures(),
                name.inFeatures(),
                form.label(),
                form.bytes(name.outFeatures(), name.inFeatures()));
    }

    private static void print(Inspection inspection, PrintWriter out) {
        ModelSpec shapes = inspection.spec();
        out.printf("model        %s · %s%n", inspection.name(), shapes.architecture());
        out.printf(
                "size         %s parameters · %s%n",
                Units.count(inspection.parameters()), Units.bytes(inspection.bytesOnDisk()));
        out.printf(
                "shape        %d blocks · hidden %d · intermediate %d · %d heads, %d key-value, of %d%n",
                shapes.layers(),
                shapes.hiddenSize(),
                shapes.intermediateSize(),
                shapes.heads(),
                shapes.kvHeads(),
                shapes.headDim());
        if (shapes.sublayers().any()) {
            out.printf("parts        %s%n", shapes.sublayers().label(shapes.layers()));
        }
        out.printf(
                "vocabulary   %d · context %d%s%n",
                shapes.vocabSize(),
                shapes.maxPositions(),
                shapes.tiedEmbeddings() ? " · embeddings tied" : "");
        if (!shapes.kvCache().equals(KvCacheForm.FLOAT)) {
            out.printf(
                    "cache        %s · %s per token%n",
                    shapes.kvCache().label(), Units.bytes(shapes.cacheBytesPerToken()));
        }
        if (!shapes.thresholds().ofBlocks().isEmpty()) {
            out.printf(
                    "inputs       small ones count as 0, from position %d on%n",
                    shapes.thresholds().densePositions());
        }
        if (shapes.experts().any()) {
            out.printf("feed-forward %s%n", shapes.experts().label());
        }
        if (shapes.sparseAttention().limited()) {
            out.printf("attention    %s%n", shapes.sparseAttention().label());
        }
        if (shapes.pageAttention().limited()) {
            out.printf("attention    %s%n", shapes.pageAttention().label());
        }
        Map<String, Integer> forms = new TreeMap<>();
        out.printf("embedding    %s%n", inspection.embedding().form());
        inspection.linears().forEach(row -> forms.merge(row.form(), 1, Integer::sum));
        forms.forEach((form, count) -> out.printf("linears      %d × %s%n", count, form));
    }
}
