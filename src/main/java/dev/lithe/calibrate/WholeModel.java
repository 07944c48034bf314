package dev.lithe.calibrate;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Architecture;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearReader;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.Part;
import dev.lithe.model.Part.Kind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/// All parts of a model in hand. Weights are views over the mapped checkpoint until a technique
/// makes others, so little of it is in memory at a time.
public final class WholeModel implements AutoCloseable {
    private final Path folder;
    private final ObjectNode config;
    private final ModelSpec spec;
    private final @Nullable CalibrationSet windows;
    private final Workbench bench;
    private final @Nullable SequentialPass pass;
    private final List<LoadedPart> parts = new ArrayList<>();
    private final Map<String, JsonNode> rewritten = new LinkedHashMap<>();
    private final Set<String> omitted = new HashSet<>();

    private WholeModel(
            Path folder, ObjectNode config, @Nullable CalibrationSet windows, Workbench bench) {
        this.folder = folder;
        this.config = config;
        this.spec = ModelSpec.of(config, folder + "/config.json");
        this.windows = windows;
        this.bench = bench;
        this.pass = windows == null ? null : new SequentialPass(windows, spec, false, null);
        Architecture.parts(spec).forEach(part -> parts.add(new LoadedPart(spec, part, pass)));
    }

    /// The model in `source`, which stays open as long.
    ///
    /// @param windows calibration windows, or null where nothing looks at data
    public static WholeModel open(Checkpoint source, @Nullable CalibrationSet windows) {
        return open(source, windows, Workbench.EMPTY);
    }

    /// The same, with what else a technique works with.
    public static WholeModel open(
            Checkpoint source, @Nullable CalibrationSet windows, Workbench bench) {
        var model = new WholeModel(source.folder(), source.config().deepCopy(), windows, bench);
        var reader = new LinearReader(source);
        try {
            for (LoadedPart part : model.parts) {
                part.load(reader, source);
            }
            return model;
        } catch (RuntimeException e) {
            model.close();
            throw e;
        }
    }

    /// A model with other shapes, whose parts have no values yet; windows and rewritten files are
    /// this one's.
    public WholeModel reshaped(ObjectNode config) {
        var model = new WholeModel(folder, config, windows, bench);
        model.rewritten.putAll(rewritten);
        model.omitted.addAll(omitted);
        return model;
    }

    /// The same model before other windows.
    public WholeModel on(CalibrationSet others) {
        var model = new WholeModel(folder, config, others, bench);
        model.rewritten.putAll(rewritten);
        model.omitted.addAll(omitted);
        for (int i = 0; i < parts.size(); i++) {
            model.take(model.parts.get(i), parts.get(i));
        }
        return model;
    }

    /// A copy of its `config.json`.
    public ObjectNode config() {
        return config.deepCopy();
    }

    /// Its shapes.
    public ModelSpec spec() {
        return spec;
    }

    /// Where it came from; its tokenizer lies there.
    public Path folder() {
        return folder;
    }

    /// Embedding, blocks and output layer.
    public List<LoadedPart> parts() {
        return List.copyOf(parts);
    }

    /// The token embedding.
    public LoadedPart embedding() {
        return parts.getFirst();
    }

    /// The output layer.
    public LoadedPart output() {
        return parts.getLast();
    }

    /// The blocks, in order.
    public List<LoadedPart> blocks() {
        return List.copyOf(parts.subList(1, parts.size() - 1));
    }

    /// The windows that techniques look at.
    ///
    /// @throws LitheException where there are none
    public CalibrationSet windows() {
        if (windows == null) {
            throw LitheException.of(
                    Fault.INTERNAL, "a stage without calibration asks for what windows show");
        }
        return windows;
    }

    /// What else a technique works with.
    public Workbench bench() {
        return bench;
    }

    /// Shows `visitor` every part in order, while the windows stand before it.
    public void walk(Consumer<LoadedPart> visitor) {
        CalibrationSet _ = windows();
        for (LoadedPart part : parts) {
            visitor.accept(part);
            if (pass != null && part.part().kind() != Kind.OUTPUT) {
                pass.advance(part);
            }
        }
    }

    /// Gives `part`, of this model, the values of `from`, whose shapes are the same.
    public void take(LoadedPart part, LoadedPart from) {
        List<Part> places = List.of(part.part(), from.part());
        for (int i = 0; i < places.getFirst().linears().size(); i++) {
            Linear linear = from.linear(places.getLast().linears().get(i));
            part.set(places.getFirst().linears().get(i), linear);
        }
        part.part().norms().keySet().forEach(slot -> part.setNorm(slot, from.norm(slot)));
    }

    /// Files of the folder that are other than the original's, by name.
    public Map<String, JsonNode> rewritten() {
        return Map.copyOf(rewritten);
    }

    /// Replaces a JSON file of the folder.
    public void rewrite(String name, JsonNode content) {
        rewritten.put(name, content);
    }

    /// Files of the folder that do not go along.
    public Set<String> omitted() {
        return Set.copyOf(omitted);
    }

    /// Leaves out a file of the folder.
    public void omit(String name) {
        omitted.add(name);
    }

    /// A JSON file of the folder, where there is one.
    ///
    /// @throws LitheException where it cannot be read
    public Optional<JsonNode> json(String name) {
        Path file = folder.resolve(name);
        try {
            return Files.exists(file)
                    ? Optional.of(new JsonMapper().readTree(file.toFile()))
                    : Optional.empty();
        } catch (IOException e) {
            throw LitheException.badInput("%s cannot be read: %s", file, e.getMessage())
                    .causedBy(e);
        }
    }

    @Override
    public void close() {
        parts.forEach(LoadedPart::close);
        if (pass != null) {
            pass.close();
        }
    }
}
