package dev.lithe.compress;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.model.LinearName;
import dev.lithe.technique.AllocationTechnique;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.RunTechnique;
import dev.lithe.technique.Settings;
import dev.lithe.technique.Technique;
import dev.lithe.technique.WeightTechnique;
import dev.lithe.technique.quantize.Cast;
import dev.lithe.technique.quantize.Gptq;
import dev.lithe.technique.quantize.Rtn;
import dev.lithe.technique.quantize.Rtn.Activations;
import dev.lithe.technique.quantize.Rtn.Observer;
import dev.lithe.tensor.DType;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.FieldSource;
import org.junit.jupiter.params.provider.ValueSource;

/// Recipes as people write them, rightly and wrongly.
class RecipeParserTest {
    private static final List<String> BUILT_IN = RecipeParser.BUILT_IN;
    private static final int MEGABYTE = 1 << 20;

    @TempDir private Path folder;

    private Recipe parse(String yaml) {
        return RecipeParser.named(file("mine.yaml", yaml.getBytes(StandardCharsets.UTF_8)));
    }

    private String file(String name, byte[] content) {
        try {
            return Files.write(folder.resolve(name), content).toString();
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    private static Rtn.Config rtn(Recipe recipe) {
        return (Rtn.Config) recipe.stages().getLast().settings().common();
    }

    private static void refused(ThrowingCallable call, String... parts) {
        assertThatThrownBy(call)
                .isInstanceOfSatisfying(
                        LitheException.class, e -> assertThat(e.fault()).isEqualTo(Fault.BAD_INPUT))
                .satisfies(e -> assertThat(e.getMessage()).contains(List.of(parts)))
                .satisfies(e -> assertThat(e.getMessage()).hasLineCount(1).hasSizeLessThan(800))
                .hasMessageNotContainingAny("jackson", "java.", "com.", "dev.lithe", "record");
    }

    @ParameterizedTest
    @FieldSource("BUILT_IN")
    void builtInsParse(String name) {
        Recipe recipe = RecipeParser.named(name);
        assertThat(recipe.name()).isEqualTo(name);
        assertThat(recipe.stages()).isNotEmpty();
        assertThat(recipe.summary()).startsWith("cast → ").containsAnyOf("rtn", "gptq");
    }

    @Test
    void filesOverlayTheDefaults() {
        Recipe recipe =
                parse(
                        """
                        # a comment
                        stages:
                          - cast: {dtype: bfloat16}
                          - rtn:
                              bits: 3
                              ignore: [lm_head, 're:.*down_proj']
                              observer: MinMax
                        """);
        assertThat(recipe.name()).isEqualTo("mine");
        assertThat(recipe.stages().getFirst().settings().common())
                .isEqualTo(new Cast.Config(DType.BF16));
        Rtn.Config defaults = new Rtn().defaults();
        assertThat(rtn(recipe))
                .isEqualTo(
                        new Rtn.Config(
                                3,
                                defaults.groupSize(),
                                defaults.symmetric(),
                                defaults.activations(),
                                Observer.MINMAX,
                                defaults.indivisible(),
                                List.of(),
                                List.of("lm_head", "re:.*down_proj")));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "stages: [{rtn: {}}]",
                "stages:\n- rtn:\n",
                "stages:\n- rtn: ~\n",
                "---\nstages: [rtn: {}]"
            })
    void aStageWithoutKeysHasTheDefaults(String yaml) {
        assertThat(rtn(parse(yaml))).isEqualTo(new Rtn().defaults());
    }

    @Test
    void inlineStages() {
        Recipe recipe =
                RecipeParser.inline(
                        List.of(
                                "cast",
                                "cast:",
                                " rtn : bits=8, group_size=0,activations=dynamic,targets=[lm_head;re:model.*q_proj]"));
        assertThat(recipe.name()).isEqualTo("inline");
        assertThat(recipe.stages()).extracting(Stage::name).containsExactly("cast", "cast", "rtn");
        assertThat(rtn(recipe).bits()).isEqualTo(8);
        assertThat(rtn(recipe).activations()).isEqualTo(Activations.DYNAMIC);
        assertThat(rtn(recipe).targets()).containsExactly("lm_head", "re:model.*q_proj");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '^',
            value = {
                "rtm:bits=4 | 'rtm' is unknown; did you mean 'rtn'?",
                "rtn:bit=4 | 'bit' is unknown; did you mean 'bits'?",
                "rtn:groupSize=64 | did you mean 'group_size'?",
                "rtn:bits | 'bits' is no key=value",
                "rtn:bits= | bits has no value",
                "rtn:=4 | '' is unknown",
                "rtn:bits=4,,symmetric=true | '' is no key=value",
                "rtn:bits=4,bits=8 | 'bits' is given twice",
                "rtn:ignore=[a | is no value",
                "rtn:bits=four | bits: \"four\" is no whole number",
                "rtn:bits=4.0 | bits: 4.0 is no whole number",
                "rtn:bits=1 | bits is 1",
                "rtn:ignore=lm_head | ignore: \"lm_head\" is no list of names; write for example [lm_head]",
                "^^ | '' is unknown"
            })
    void inlineStagesThatAreWrong(String stage, String part) {
        refused(() -> RecipeParser.inline(List.of("cast", stage)), part);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '^',
            value = {
                "bits: four | bits: \"four\" is no whole number",
                "bits: 4.5 | bits: 4.5 is no whole number",
                "bits: 4.0 | bits: 4.0 is no whole number",
                "bits: \"4\" | bits: \"4\" is no whole number",
                "bits: true | bits: true is no whole number",
                "bits: [4] | bits: [4] is no whole number",
                "bits: {a: 1} | is no whole number",
                "bits: 4294967300 | bits: 4294967300 is no whole number, or too large",
                "bits: | bits has no value",
                "bits: ~ | bits has no value",
                "bits: \"\" | bits has no value",
                "symmetric: maybe | symmetric: \"maybe\" is no truth value; write true or false",
                "symmetric: 1 | symmetric: 1 is no truth value",
                "symmetric: \"true\" | is no truth value",
                "observer: best | observer: \"best\" is no member of mse, minmax",
                "observer: 0 | observer: 0 is no member of mse, minmax",
                "observer: \"0\" | is no member of mse, minmax",
                "observer: [mse] | is no member of mse, minmax",
                "targets: lm_head | is no list of names",
                "targets: [[lm_head]] | is no list of names",
                "targets: [{a: b}] | is no list of names",
                "targets: [lm_head, ~] | targets has no value",
                "targets: [\" \"] | targets has no value",
                "Bits: 4 | 'Bits' is unknown; did you mean 'bits'?",
                "1: 4 | '1' is unknown"
            })
    void valuesOfTheWrongKind(String line, String part) {
        refused(() -> parse("stages:\n  - rtn: {" + line + "}\n"), part, "stage 1 (rtn)");
    }

    @ParameterizedTest
    @ValueSource(strings = {"float17", "int8", "float64", "5", "{}", "''", "~"})
    void castToNoSuchType(String type) {
        refused(() -> parse("stages: [{cast: {dtype: " + type + "}}]"), "dtype", "stage 1 (cast)");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '^',
            value = {
                "^^ | must be an object with the key 'stages'",
                "^# nothing^ | must be an object with the key 'stages'",
                "42 | must be an object",
                "[rtn] | must be an object",
                "name: x | has no stages",
                "stages: | stages is no list",
                "stages: [] | has no stages",
                "stages: rtn | stages is no list",
                "stages: {rtn: {bits: 4}} | stages is no list",
                "stages: [rtn] | stage 1 is not 'technique: {key: value, ...}'",
                "stages: [{rtn: 4}] | stage 1 (rtn): 4 is not {key: value, ...}",
                "stages: [{rtn: [4]}] | is not {key: value, ...}",
                "stages: [{cast: {}}, {rtn: {}, cast: {}}] | stage 2 is not",
                "stages: [{}] | stage 1 is not",
                "stages: [~] | stage 1 is not",
                "stages: [{gptk: {}}] | 'gptk' is unknown",
                "stage: [{rtn: {}}] | 'stage' is unknown; did you mean 'stages'?",
                "{stages: [{rtn: {}}], stages: []} | Duplicate field 'stages'",
                "stages: [{rtn: {bits: 4, bits: 8}}] | Duplicate field 'bits'",
                "stages: [{rtn: {bits: 4} | no valid YAML: line 1: ",
                "stages: [{rtn: {}}]} | no valid YAML",
                "\"stages: | no valid YAML",
                "stages: [{rtn: {bits: .nan}}] | no valid YAML",
                "{name: a/b, stages: [{rtn: {}}]} | without slashes",
                "{name: \"a\\n\\nb\", stages: [{rtn: {}}]} | without slashes",
                "{name: 7, stages: [{rtn: {}}]} | name 7 must be text"
            })
    void filesThatAreNoRecipe(String yaml, String part) {
        refused(() -> parse(yaml), part);
    }

    @Test
    void aSecondDocumentIsNotPassedOver() {
        refused(() -> parse("stages: [{rtn: {}}]\n---\nstages: [{cast: {}}]\n"), "no valid YAML");
    }

    @Test
    void bytesThatAreNoText() {
        long seed = 30;
        byte[] noise = new byte[4096];
        new Random(seed).nextBytes(noise);
        byte[] zeros = new byte[4096];
        byte[] latin =
                "stages: [{rtn: {bits: 4}}] # gr\u00f6\u00dfer"
                        .getBytes(StandardCharsets.ISO_8859_1);
        byte[] control = "stages: [\u0007]".getBytes(StandardCharsets.UTF_8);
        for (byte[] bytes : List.of(noise, zeros, latin, control)) {
            refused(() -> RecipeParser.named(file("noise.yaml", bytes)), "noise.yaml");
        }
    }

    @Test
    void filesThatAreTooLargeAreNotRead() throws IOException {
        Path huge = folder.resolve("huge.yaml");
        try (var file = new java.io.RandomAccessFile(huge.toFile(), "rw")) {
            file.setLength(1L << 36);
        }
        refused(() -> RecipeParser.named(huge.toString()), "a recipe has at most 1048576");
    }

    @ParameterizedTest
    @ValueSource(strings = {"[", "{a: ", "- ", "stages: [{rtn: {targets: ["})
    void depthIsBounded(String piece) {
        String deep = piece.repeat((MEGABYTE - 10) / piece.length());
        assertTimeoutPreemptively(
                Duration.ofSeconds(20), () -> refused(() -> parse(deep), "mine.yaml"));
    }

    @Test
    void longNamesAreCutInTheMessage() {
        String name = "x".repeat(MEGABYTE / 2);
        assertTimeoutPreemptively(
                Duration.ofSeconds(20),
                () -> {
                    refused(() -> parse("stages: [{" + name + ": {}}]"), "mine.yaml");
                    refused(() -> parse("stages: [{rtn: {bits: " + name + "}}]"), "bits");
                });
    }

    @Test
    void aliasesAreNotFollowed() {
        var laughs = new StringBuilder("a0: &a0 [ha, ha]\n");
        for (int i = 1; i < 40; i++) {
            String one = "*a" + (i - 1);
            laughs.append("a%d: &a%d [%s]\n".formatted(i, i, String.join(", ", one, one, one)));
        }
        refused(() -> parse(laughs + "stages: [{rtn: {targets: *a39}}]"), "'a0' is unknown");
        refused(() -> parse("stages: &s [{rtn: {targets: *s}}]"), "is no list of names");
        refused(() -> parse("stages: &s [*s]"), "stage 1 is not");
    }

    @Test
    void whatIsNeitherANameNorAFile() {
        refused(() -> RecipeParser.named("int5"), "'int5' is neither", "int8, int4");
        refused(() -> RecipeParser.named(""), "is neither");
        refused(() -> RecipeParser.named(folder.toString()), "is neither");
    }

    @Test
    void allTechniquesAreKnownByTheirDefaults() {
        for (Technique technique : Technique.all()) {
            if (technique instanceof AllocationTechnique) {
                continue; // configures another stage, and needs a budget
            }
            Recipe recipe = RecipeParser.inline(List.of(technique.name()));
            Record config =
                    switch (technique) {
                        case RunTechnique<?> _ -> recipe.running().getFirst().config();
                        case ModelTechnique<?> _ -> Objects.requireNonNull(recipe.whole()).config();
                        case WeightTechnique<?> _, AllocationTechnique<?> _ ->
                                recipe.stages().getFirst().settings().common();
                    };
            assertThat(config).isEqualTo(technique.defaults());
        }
    }

    @Test
    void stagesThatChangeNoWeightsStandApart() {
        Recipe recipe =
                RecipeParser.inline(List.of("kv_cache:keys=8,values=4", "cast:dtype=bfloat16"));
        assertThat(recipe.stages()).hasSize(1);
        assertThat(recipe.running()).hasSize(1);
        assertThat(recipe.summary()).isEqualTo("cast → kv_cache");
        Recipe again = parse(recipe.toJson().toPrettyString());
        assertThat(again.running()).usingRecursiveComparison().isEqualTo(recipe.running());
        assertThat(again.toJson()).isEqualTo(recipe.toJson());
        refused(() -> RecipeParser.inline(List.of("kv_cache:keys=5")), "keys in 5 bits; choose 4");
        refused(() -> RecipeParser.inline(List.of("kv_cache:values=0")), "values in 0 bits");
        refused(() -> RecipeParser.inline(List.of("kv_cache:key=8")), "did you mean 'keys'?");
        refused(() -> RecipeParser.inline(List.of("kv_cache:keys=8.5")), "8.5 is no whole number");
        refused(
                () -> RecipeParser.inline(List.of("cast", "kv_cache:bits=8")),
                "stage 2 (kv_cache)");
    }

    @Test
    void overridesChangeSingleLinears() {
        Recipe recipe =
                parse(
                        """
                        stages:
                          - bit_allocation: {average_bits: 4}
                          - gptq:
                              group_size: 64
                              overrides:
                                "re:.*down_proj": {bits: 6}
                                model.layers.1.mlp.down_proj: {bits: 3, group_size: 32}
                        """);
        var settings = recipe.stages().getFirst().settings();
        assertThat(gptq(settings, "model.layers.0.mlp.down_proj")).isEqualTo("6 64");
        assertThat(gptq(settings, "model.layers.1.mlp.down_proj")).isEqualTo("3 32");
        assertThat(gptq(settings, "model.layers.1.mlp.up_proj")).isEqualTo("4 64");
        assertThat(parse(recipe.toJson().toString()).toJson()).isEqualTo(recipe.toJson());
        refused(() -> overrides("{lm_head: {bits: 9}}"), "overrides, lm_head", "bits is 9");
        refused(() -> overrides("{lm_head: {bit: 9}}"), "'bit' is unknown", "'bits'");
        refused(() -> overrides("{lm_head: {ignore: [x]}}"), "ignore belongs to the stage");
        refused(
                () -> parse("stages: [{autoround: {overrides: {q_proj: {iterations: 9}}}}]"),
                "iterations belongs to the stage");
        refused(() -> overrides("[lm_head]"), "overrides", "is not {pattern");
    }

    private static String gptq(Settings<?> settings, String module) {
        var name = new LinearName(module, 0, LinearName.Slot.DOWN, 8, 8, false);
        return settings.of(name) instanceof Gptq.Config config
                ? config.bits() + " " + config.groupSize()
                : "no gptq";
    }

    private void overrides(String yaml) {
        var _ = parse("stages: [{gptq: {overrides: " + yaml + "}}]");
    }

    @Test
    void whatIsRecordedReadsBackTheSame() {
        Recipe custom =
                RecipeParser.inline(
                        List.of(
                                "cast:dtype=bfloat16",
                                "rtn:bits=3,group_size=64,symmetric=false,observer=minmax,indivisible=refuse,ignore=[lm_head]"));
        for (Recipe recipe :
                List.of(custom, RecipeParser.named("int4"), RecipeParser.named("int8"))) {
            Recipe again = parse(recipe.toJson().toPrettyString());
            assertThat(again.name()).isEqualTo(recipe.name());
            assertThat(again.stages()).usingRecursiveComparison().isEqualTo(recipe.stages());
            assertThat(parse(recipe.toJson().toString()).toJson()).isEqualTo(recipe.toJson());
        }
        assertThat(custom.toJson().toString())
                .contains("\"dtype\":\"bfloat16\"", "\"observer\":\"minmax\"", "\"bits\":3");
    }
}
