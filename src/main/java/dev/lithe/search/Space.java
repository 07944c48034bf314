package dev.lithe.search;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.compress.Pipeline;
import dev.lithe.compress.Recipe;
import dev.lithe.compress.RecipeParser;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.technique.Family;
import dev.lithe.technique.Technique;
import dev.lithe.tensor.DType;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.function.Predicate;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/// The recipes that a search chooses from: slots, each with options, read from YAML
/// (`search-space.yaml` among the resources). A recipe takes one option of each slot, in the slots'
/// order; a share of bytes is one of the limit's, or without a limit of half the model's. Options
/// of the family [Family#SPARSE] save time and no bytes, so they count only where time does.
final class Space {
    /// What comes in which order.
    private enum Slot {
        SHAPE,
        HEAL,
        PREPARE,
        QUANTIZER,
        WIDTH,
        SCOPE,
        REST
    }

    private static final ObjectMapper YAML = new YAMLMapper();
    private static final String SHARE = "share";
    private static final List<String> ALLOCATED = List.of("bits", "group_size");
    private static final List<String> WIDTH_KEYS = List.of("bits", "group_size", "activations");

    /// About what a linear takes in the header of a safetensors file, beside its tensors.
    private static final long HEADER_BYTES = 400;

    /// Singles of a technique that are tried first where there is no limit on bytes.
    private static final int SINGLES = 3;

    /// Healed shapes that are tried first.
    private static final int HEALED = 2;

    /// Rounds without them: a training takes as long as several other trials.
    private static final int HEALING = 4;

    /// Options that were never tried count as the best of this share of trials.
    private static final double GOOD = 0.25;

    private final Map<Slot, List<JsonNode>> options;
    private final Checkpoint source;
    private final boolean limited;
    private final long budget;
    private final boolean wide;
    private long mostBytes;

    /// @param file YAML, or null for the one among the resources
    Space(@Nullable Path file, Checkpoint source, Goal goal) {
        Long maxBytes = goal.maxBytes();
        this.source = source;
        this.limited = maxBytes != null;
        long most = maxBytes == null ? source.tensorBytes() : maxBytes;
        this.mostBytes = most - Math.min(most / 2, headerBytes(source));
        this.budget = limited ? mostBytes : mostBytes / 2;
        this.wide =
                source.entries().values().stream().anyMatch(entry -> entry.dtype() == DType.F32);
        this.options = read(file);
        if (!goal.timed()) {
            options.replaceAll((_, all) -> {
                List<JsonNode> left = all.stream().filter(each -> !savesTimeOnly(each)).toList();
                return left.isEmpty() ? List.of(YAML.createObjectNode()) : left;
            });
        }
    }

    /// Refuses a file that is no search space, before there is a folder for what is found.
    static void require(@Nullable Path file) {
        var _ = read(file);
    }

    private static Map<Slot, List<JsonNode>> read(@Nullable Path file) {
        JsonNode root = yaml(file);
        Map<Slot, List<JsonNode>> options = new LinkedHashMap<>();
        for (Slot slot : Slot.values()) {
            String name = slot.name().toLowerCase(Locale.ROOT);
            List<JsonNode> list = root.path(name).valueStream().toList();
            if (list.isEmpty() || !list.stream().allMatch(JsonNode::isObject)) {
                throw LitheException.badInput(
                        "search space: '%s' is no list of {technique: {key: value}}; write [{}] to leave"
                                + " it empty",
                        name);
            }
            options.put(slot, list);
        }
        return options;
    }

    private static boolean savesTimeOnly(JsonNode option) {
        return Technique.all().stream()
                .filter(each -> each.family() == Family.SPARSE)
                .anyMatch(each -> option.has(each.name()));
    }

    private static long headerBytes(Checkpoint source) {
        Recipe unchanged = RecipeParser.inline(List.of("cast"));
        int linears = Pipeline.plan(unchanged, source).getFirst().plan().linears().size();
        return (linears + 3) * HEADER_BYTES;
    }

    private static JsonNode yaml(@Nullable Path file) {
        try (InputStream in =
                file == null
                        ? Space.class.getResourceAsStream("/search-space.yaml")
                        : Files.newInputStream(file)) {
            JsonNode root = YAML.readTree(in);
            return root == null ? YAML.createObjectNode() : root;
        } catch (JsonProcessingException e) {
            throw LitheException.badInput("%s: no valid YAML: %s", file, e.getOriginalMessage())
                    .causedBy(e);
        } catch (IOException e) {
            throw LitheException.badInput("%s: cannot be read: %s", file, e.getMessage())
                    .causedBy(e);
        }
    }

    /// What to try first: techniques alone, in the first scope that makes them small enough and at
    /// the size nearest below the limit, and in turn with them budgets distributed over linears:
    /// each share for the first quantizer, and the first share for each; and after some of them two
    /// shapes, healed. Where no technique alone is small enough, the limit is no longer a
    /// condition, and the smallest of each come first.
    List<Proposal> seeds() {
        List<Proposal> singles = singles();
        if (singles.isEmpty()) {
            mostBytes = Long.MAX_VALUE;
            singles = singles();
        }
        List<Proposal> seeds = new ArrayList<>();
        List<Proposal> allocated = allocated();
        List<Proposal> healed = healed();
        int rounds = Math.max(Math.max(singles.size(), allocated.size()), HEALING + healed.size());
        for (int i = 0; i < rounds; i++) {
            addTo(seeds, singles, i);
            addTo(seeds, allocated, i);
            addTo(seeds, healed, i - HEALING);
        }
        return seeds;
    }

    private static void addTo(List<Proposal> seeds, List<Proposal> kind, int index) {
        if (index >= 0 && index < kind.size()) {
            seeds.add(kind.get(index));
        }
    }

    private List<Proposal> singles() {
        List<Proposal> singles = new ArrayList<>();
        for (Slot slot : List.of(Slot.QUANTIZER, Slot.SHAPE, Slot.REST)) {
            for (int option = 0; option < size(slot); option++) {
                singles.addAll(singles(slot, option));
            }
        }
        return singles;
    }

    private List<Proposal> singles(Slot slot, int option) {
        Map<String, Proposal> found = new LinkedHashMap<>();
        for (int scope = 0; scope < size(Slot.SCOPE) && found.isEmpty(); scope++) {
            for (int width = 0; width < size(Slot.WIDTH); width++) {
                int[] choices = empty();
                choices[slot.ordinal()] = option;
                choices[Slot.WIDTH.ordinal()] = width;
                choices[Slot.SCOPE.ordinal()] = scope;
                of(choices)
                        .filter(Proposal::single)
                        .ifPresent(each -> found.putIfAbsent(each.key(), each));
            }
        }
        Comparator<Proposal> smallestFirst = Comparator.comparingLong(Proposal::bytes);
        boolean atLimit = limited && mostBytes < Long.MAX_VALUE;
        List<Proposal> sorted =
                found.values().stream()
                        .sorted(atLimit ? smallestFirst.reversed() : smallestFirst)
                        .toList();
        return limited ? sorted.stream().limit(1).toList() : Front.spread(sorted, SINGLES);
    }

    private List<Proposal> allocated() {
        List<Proposal> allocated = new ArrayList<>();
        for (int quantizer = 0; quantizer < size(Slot.QUANTIZER); quantizer++) {
            for (int width = 0; width < size(Slot.WIDTH); width++) {
                boolean first = width == 0 || quantizer == 0;
                if (first && option(Slot.WIDTH, width).has(SHARE)) {
                    int[] choices = empty();
                    choices[Slot.WIDTH.ordinal()] = width;
                    choices[Slot.QUANTIZER.ordinal()] = quantizer;
                    of(choices).filter(each -> !each.single()).ifPresent(allocated::add);
                }
            }
        }
        return allocated;
    }

    /// The first shapes with what heals them, before the first share: unhealed, a shape says little
    /// of what it is worth.
    private List<Proposal> healed() {
        List<Proposal> healed = new ArrayList<>();
        int quantizer = first(Slot.QUANTIZER, option -> !option.isEmpty());
        for (int shape = 0; shape < size(Slot.SHAPE); shape++) {
            for (int heal = 0; heal < size(Slot.HEAL); heal++) {
                if (!option(Slot.SHAPE, shape).isEmpty() && !option(Slot.HEAL, heal).isEmpty()) {
                    int[] choices = empty();
                    choices[Slot.SHAPE.ordinal()] = shape;
                    choices[Slot.HEAL.ordinal()] = heal;
                    choices[Slot.QUANTIZER.ordinal()] = quantizer;
                    choices[Slot.WIDTH.ordinal()] = first(Slot.WIDTH, option -> option.has(SHARE));
                    of(choices).ifPresent(healed::add);
                }
            }
        }
        return healed.stream().limit(HEALED).toList();
    }

    /// The first empty option of each slot, else its first.
    private int[] empty() {
        return options.keySet().stream().mapToInt(slot -> first(slot, JsonNode::isEmpty)).toArray();
    }

    /// The first option that is `wanted`, else the first.
    private int first(Slot slot, Predicate<JsonNode> wanted) {
        return IntStream.range(0, size(slot))
                .filter(i -> wanted.test(option(slot, i)))
                .findFirst()
                .orElse(0);
    }

    /// A child of `a` and `b`: in each slot the option of one of them, and in one or two slots
    /// another one.
    ///
    /// @param ranked choices that were tried, the best first: the better an option did, the
    ///   likelier it is drawn, and one that was never tried as likely as a good one
    Optional<Proposal> child(Proposal a, Proposal b, List<int[]> ranked, SplittableRandom random) {
        int[] choices = a.choices().clone();
        for (int i = 0; i < choices.length; i++) {
            choices[i] = random.nextBoolean() ? a.choices()[i] : b.choices()[i];
        }
        int changes = 1 + random.nextInt(2);
        for (int change = 0; change < changes; change++) {
            int slot = random.nextInt(choices.length);
            choices[slot] = drawn(Slot.values()[slot], ranked, random);
        }
        return of(choices);
    }

    private int drawn(Slot slot, List<int[]> ranked, SplittableRandom random) {
        double[] weights = new double[size(slot)];
        Arrays.fill(weights, 1 / (1 + ranked.size() * GOOD));
        for (int i = ranked.size() - 1; i >= 0; i--) {
            weights[ranked.get(i)[slot.ordinal()]] = 1.0 / (1 + i);
        }
        double at = random.nextDouble(Arrays.stream(weights).sum());
        int option = 0;
        while (option < weights.length - 1 && at >= weights[option]) {
            at -= weights[option++];
        }
        return option;
    }

    /// The recipe of some choices; empty where it cannot be carried out, or will be larger than
    /// allowed.
    private Optional<Proposal> of(int[] choices) {
        ObjectNode root = YAML.createObjectNode();
        ArrayNode stages = root.putArray("stages");
        JsonNode shape = chosen(Slot.SHAPE, choices);
        add(shape, stages);
        if (!shape.isEmpty()) {
            add(chosen(Slot.HEAL, choices), stages);
        }
        add(chosen(Slot.PREPARE, choices), stages);
        addQuantizer(choices, stages);
        add(chosen(Slot.REST, choices), stages);
        int techniques = stages.size();
        if (techniques == 0) {
            return Optional.empty();
        }
        if (wide) {
            stages.insertObject(0).putObject("cast").put("dtype", "float16");
        }
        try {
            Recipe recipe = RecipeParser.of("found", root);
            long bytes = bytes(recipe, stages);
            return bytes > mostBytes
                    ? Optional.empty()
                    : Optional.of(
                            new Proposal(choices.clone(), root, recipe, techniques == 1, bytes));
        } catch (LitheException e) {
            if (e.fault() != Fault.BAD_INPUT) {
                throw e;
            }
            return Optional.empty();
        }
    }

    private long bytes(Recipe recipe, ArrayNode stages) {
        long planned = Pipeline.plan(recipe, source).getLast().plan().bytes();
        for (JsonNode stage : stages) {
            if (stage.has("bit_allocation")) {
                return stage.at("/bit_allocation/max_bytes").asLong();
            }
        }
        return planned;
    }

    private static void add(JsonNode option, ArrayNode stages) {
        option.properties()
                .forEach(stage -> stages.addObject().set(stage.getKey(), stage.getValue()));
    }

    private void addQuantizer(int[] choices, ArrayNode stages) {
        JsonNode width = chosen(Slot.WIDTH, choices);
        JsonNode scope = chosen(Slot.SCOPE, choices);
        for (var stage : chosen(Slot.QUANTIZER, choices).properties()) {
            List<String> keys = keys(stage.getKey());
            ObjectNode settings = stage.getValue().deepCopy();
            scope.properties().stream()
                    .filter(key -> keys.contains(key.getKey()))
                    .forEach(key -> settings.set(key.getKey(), key.getValue()));
            if (width.has(SHARE) && keys.containsAll(ALLOCATED)) {
                ObjectNode allocation = stages.addObject().putObject("bit_allocation");
                allocation.put("max_bytes", (long) (width.path(SHARE).asDouble() * budget));
                width.properties().stream()
                        .filter(key -> !key.getKey().equals(SHARE))
                        .forEach(key -> allocation.set(key.getKey(), key.getValue()));
            } else {
                WIDTH_KEYS.stream()
                        .filter(keys::contains)
                        .filter(width::has)
                        .forEach(key -> settings.set(key, width.path(key)));
            }
            stages.addObject().set(stage.getKey(), settings);
        }
    }

    /// The keys of a technique's stage; none where it is not known, which the recipe will tell.
    private static List<String> keys(String technique) {
        return Technique.all().stream()
                .filter(each -> each.name().equals(technique))
                .flatMap(each -> RecipeParser.keys(each).stream())
                .toList();
    }

    private JsonNode chosen(Slot slot, int[] choices) {
        return option(slot, choices[slot.ordinal()]);
    }

    private JsonNode option(Slot slot, int index) {
        return options.getOrDefault(slot, List.of()).get(index);
    }

    private int size(Slot slot) {
        return options.getOrDefault(slot, List.of()).size();
    }
}
