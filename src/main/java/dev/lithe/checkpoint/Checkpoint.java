package dev.lithe.checkpoint;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/// A Hugging Face model folder: `config.json`, `tokenizer.json`, and safetensors, single or sharded
/// by `model.safetensors.index.json`, or what [GgufFolder] makes of a GGUF file. Opening reads
/// headers only; tensors are mapped when first asked for, so a model larger than memory opens too.
public final class Checkpoint implements AutoCloseable {
    static final String SINGLE = "model.safetensors";
    static final String INDEX = "model.safetensors.index.json";

    /// Where older GPTQ tools say what `config.json` says now.
    private static final String QUANTIZE_CONFIG = "quantize_config.json";

    /// `config.json`, the index and `lithe.json` of any real model are far smaller.
    private static final long MAX_JSON_BYTES = 64L << 20;

    private static final JsonMapper JSON =
            JsonMapper.builder().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS).build();

    private final Path folder;
    private final JsonNode config;
    private final Map<String, TensorEntry> entries;
    private final Map<String, TensorView> views;
    private final @Nullable GgufFile gguf;
    private final boolean copies;
    private final Map<Path, TensorFile> files = new HashMap<>();
    private @Nullable Map<String, String> hashes;

    private Checkpoint(
            Path folder, JsonNode config, Map<String, TensorEntry> entries, boolean copies) {
        this(folder, config, entries, Map.of(), null, copies);
    }

    private Checkpoint(
            Path folder,
            JsonNode config,
            Map<String, TensorEntry> entries,
            Map<String, TensorView> views,
            @Nullable GgufFile gguf,
            boolean copies) {
        this.folder = folder;
        this.config = config;
        this.entries = Collections.unmodifiableMap(entries);
        this.views = views;
        this.gguf = gguf;
        this.copies = copies;
    }

    /// What a writer has written so far. Its tensors are copies: they lie in memory as those of any
    /// other run do, so that libtorch adds up their products in the same order.
    static Checkpoint spooled(Path folder, JsonNode config, Collection<TensorEntry> entries) {
        Map<String, TensorEntry> named = new LinkedHashMap<>();
        entries.forEach(entry -> named.put(entry.name(), entry));
        return new Checkpoint(folder, config, named, true);
    }

    /// Opens `folder` and checks every header.
    public static Checkpoint open(Path folder) {
        if (!Files.isDirectory(folder)) {
            throw LitheException.badInput(
                    "%s is no model folder; give a folder with config.json and model.safetensors, or 'demo'",
                    folder);
        }
        JsonNode config = readJson(folder.resolve("config.json"));
        Map<String, TensorEntry> entries = new LinkedHashMap<>();
        if (Files.exists(folder.resolve(INDEX))) {
            readShards(folder, entries);
        } else if (Files.exists(folder.resolve(SINGLE))) {
            addAll(SafetensorsHeader.read(folder.resolve(SINGLE)), entries);
        } else if (Files.exists(folder.resolve(GgufFolder.NAME))) {
            return ofGguf(folder, config);
        } else {
            throw noWeights(folder);
        }
        Map<String, TensorEntry> named = named(config, entries);
        ForeignLinears foreign = foreign(folder, config, named);
        return foreign == null
                ? new Checkpoint(folder, config, named, false)
                : new Checkpoint(
                        folder, foreign.config(), foreign.seen(), foreign.views(), null, false);
    }

    /// GPT-2 as it lies on the hub lacks the prefix that transformers writes, and takes either.
    private static Map<String, TensorEntry> named(
            JsonNode config, Map<String, TensorEntry> entries) {
        if (!config.path("model_type").asText().equals("gpt2")
                || !entries.containsKey("wte.weight")) {
            return entries;
        }
        Map<String, TensorEntry> named = new LinkedHashMap<>();
        entries.values().stream()
                .map(entry ->
                        entry.name().startsWith("lm_head.")
                                ? entry
                                : entry.named("transformer." + entry.name()))
                .forEach(entry -> named.put(entry.name(), entry));
        return named;
    }

    private static @Nullable ForeignLinears foreign(
            Path folder, JsonNode config, Map<String, TensorEntry> entries) {
        JsonNode quantization = config.path("quantization_config");
        Path apart = folder.resolve(QUANTIZE_CONFIG);
        if (!quantization.isObject() && Files.exists(apart)) {
            JsonNode found = readJson(apart);
            return Gptq.read(folder, config, found, entries);
        }
        return switch (quantization.path("quant_method").asText("none")) {
            case "gptq" -> Gptq.read(folder, config, quantization, entries);
            case "awq" -> AwqGemm.read(folder, config, quantization, entries);
            case "compressed-tensors" -> CompressedTensors.read(folder, config, entries);
            default -> null; // plain, or refused where it is read
        };
    }

    private static Checkpoint ofGguf(Path folder, JsonNode config) {
        GgufFile gguf = GgufFile.read(folder.resolve(GgufFolder.NAME));
        var tensors =
                new GgufTensors(gguf, GgufConfig.architecture(gguf), GgufConfig.headDim(gguf));
        Map<String, TensorEntry> entries = new LinkedHashMap<>();
        tensors.views().forEach((name, view) -> entries.put(name, view.entry()));
        return new Checkpoint(folder, config, entries, tensors.views(), gguf, false);
    }

    private static LitheException noWeights(Path folder) {
        try (var files = Files.list(folder)) {
            boolean pickled =
                    files.map(file -> file.getFileName().toString())
                            .anyMatch(name ->
                                    name.matches("pytorch_model.*\\.bin|.*\\.(pt|pth|ckpt)"));
            if (pickled) {
                return LitheException.badInput(
                        "%s holds pickled weights only, and a pickle can run any code when read; save the model as"
                                + " safetensors (save_pretrained(..., safe_serialization=True))",
                        folder);
            }
        } catch (IOException e) {
            return LitheException.badInput("%s cannot be listed: %s", folder, e.getMessage())
                    .causedBy(e);
        }
        return LitheException.badInput("%s holds neither %s nor %s", folder, SINGLE, INDEX);
    }

    private static void readShards(Path folder, Map<String, TensorEntry> entries) {
        JsonNode map = readJson(folder.resolve(INDEX)).path("weight_map");
        if (!map.isObject() || map.isEmpty()) {
            throw LitheException.badInput("%s: has no weight_map", folder.resolve(INDEX));
        }
        Set<String> shards = new TreeSet<>();
        for (var field : map.properties()) {
            String shard = field.getValue().asText();
            if (!field.getValue().isTextual() || !shard.matches("[A-Za-z0-9._-]+\\.safetensors")) {
                throw LitheException.badInput(
                        "%s: tensor '%s' points to '%s'; a shard is a .safetensors file in the same folder",
                        folder.resolve(INDEX), field.getKey(), shard);
            }
            shards.add(shard);
        }
        for (String shard : shards) {
            if (!Files.isRegularFile(folder.resolve(shard))) {
                throw LitheException.badInput(
                        "%s: shard %s, named by the index, is missing; download it", folder, shard);
            }
            addAll(SafetensorsHeader.read(folder.resolve(shard)), entries);
        }
        for (var field : map.properties()) {
            TensorEntry entry = entries.get(field.getKey());
            if (entry == null || !entry.file().endsWith(field.getValue().asText())) {
                throw LitheException.badInput(
                        "%s: tensor '%s' is not in shard %s, where the index puts it",
                        folder, field.getKey(), field.getValue().asText());
            }
        }
    }

    private static void addAll(Collection<TensorEntry> shard, Map<String, TensorEntry> entries) {
        for (TensorEntry entry : shard) {
            TensorEntry earlier = entries.putIfAbsent(entry.name(), entry);
            if (earlier != null) {
                throw LitheException.badInput(
                        "tensor '%s' is in both %s and %s",
                        entry.name(), earlier.file(), entry.file());
            }
        }
    }

    private static JsonNode readJson(Path file) {
        if (!Files.isRegularFile(file)) {
            throw LitheException.badInput("%s: is missing, or no file", file);
        }
        try {
            long bytes = Files.size(file);
            if (bytes > MAX_JSON_BYTES) {
                throw LitheException.badInput(
                        "%s: %d bytes, the limit is %d", file, bytes, MAX_JSON_BYTES);
            }
            JsonNode node = JSON.readTree(Files.readAllBytes(file));
            if (!node.isObject()) {
                throw LitheException.badInput("%s: is no JSON object", file);
            }
            return node;
        } catch (JsonProcessingException e) {
            throw LitheException.badInput("%s: no valid JSON: %s", file, e.getOriginalMessage())
                    .causedBy(e);
        } catch (IOException e) {
            throw LitheException.badInput(
                            "%s: cannot be read (%s)", file, e.getClass().getSimpleName())
                    .causedBy(e);
        }
    }

    /// The folder it was opened from.
    public Path folder() {
        return folder;
    }

    /// `config.json`; where other tools store linears their own way, as Lithe would have written
    /// it.
    public JsonNode config() {
        return config;
    }

    /// `name` parsed as JSON, or null where the folder has no such file.
    public @Nullable JsonNode json(String name) {
        Path file = folder.resolve(name);
        return Files.exists(file) ? readJson(file) : null;
    }

    /// All tensors, by name.
    public Map<String, TensorEntry> entries() {
        return entries;
    }

    /// Whether a tensor of this name exists.
    public boolean has(String name) {
        return entries.containsKey(name);
    }

    /// The place of a tensor.
    ///
    /// @throws LitheException where there is none of this name
    public TensorEntry entry(String name) {
        TensorEntry entry = entries.get(name);
        if (entry == null) {
            throw LitheException.badInput("%s: tensor '%s' is missing", folder, name);
        }
        return entry;
    }

    /// A tensor in its stored type: usually a view over mapped memory, read-only in intent, and
    /// valid while `into` and this checkpoint are open.
    public Value load(String name, TensorScope into) {
        TensorEntry entry = entry(name);
        TensorView view = views.get(name);
        return view == null ? load(entry, into) : view.maker().make(this::load, into);
    }

    private Value load(TensorEntry entry, TensorScope into) {
        TensorFile file = files.computeIfAbsent(entry.file(), TensorFile::open);
        return copies ? file.copy(entry, into) : file.load(entry, into);
    }

    /// The sha256 of every file that holds tensors, by file name; each is read once.
    public Map<String, String> sha256() {
        if (hashes == null) {
            Map<String, String> found = new TreeMap<>();
            entries.values().stream()
                    .map(TensorEntry::file)
                    .distinct()
                    .forEach(file -> found.put(file.getFileName().toString(), Sha256.of(file)));
            hashes = Collections.unmodifiableMap(found);
        }
        return hashes;
    }

    /// The values of the GGUF file that it was opened from, by key: `Long`, `Double`, `Boolean`,
    /// `String`, or a list of one of them; none where it was opened from none.
    public Map<String, Object> ggufValues() {
        return gguf == null ? Map.of() : gguf.values();
    }

    /// The blocks of a tensor of the GGUF file that it was opened from, by that file's name for it;
    /// null where it was opened from none, or that has no such tensor.
    ///
    /// @param architecture as which they are wanted: the order of rows depends on it
    public @Nullable GgufRaw raw(String name, String architecture) {
        if (gguf == null || !GgufConfig.architecture(gguf).equals(architecture)) {
            return null;
        }
        GgufFile.Tensor tensor = gguf.tensors().get(name);
        return tensor == null ? null : new GgufRaw(tensor, gguf.file());
    }

    /// Bytes of all tensors on disk, headers and other files aside.
    public long tensorBytes() {
        return entries.values().stream().mapToLong(TensorEntry::bytes).sum();
    }

    @Override
    public void close() {
        files.values().forEach(TensorFile::close);
    }
}
