package dev.lithe.technique.distill;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.TinyModel;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.calibrate.Workbench;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.SafetensorsFile;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.ModelSpec;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.ModelTechniqueContract;
import dev.lithe.technique.distill.MergeAdapter.Config;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MergeAdapterTest extends ModelTechniqueContract<Config> {
    private static final String NAME = "base_model.model.model.layers.0.mlp.gate_proj.lora_";

    @TempDir private static Path shared;

    private final MergeAdapter merge = new MergeAdapter();

    @Override
    protected ModelTechnique<Config> technique() {
        return merge;
    }

    @Override
    protected List<Config> configurations() {
        return List.of(new Config(adapter(shared.resolve("adapter"), 0.5f).toString()));
    }

    private static Path adapter(Path folder, float number) {
        try (var scope = TensorScope.open()) {
            Files.createDirectories(folder);
            float[] a = new float[2 * 32];
            float[] b = new float[2 * 64];
            Arrays.fill(a, number);
            Arrays.fill(b, number);
            SafetensorsFile.write(
                    folder.resolve("adapter_model.safetensors"),
                    Map.of(
                            NAME + "A.weight",
                            scope.tensor(a, 2, 32),
                            NAME + "B.weight",
                            scope.tensor(b, 64, 2)));
            Files.writeString(
                    folder.resolve("adapter_config.json"),
                    "{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 4, \"use_rslora\": null}");
            return folder;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /// What `heal` writes beside a model means what the model became.
    @Test
    void aMergedAdapterIsTheHealedModel(@TempDir Path folder) throws IOException {
        Path written = folder.resolve("adapter");
        var heal =
                new Heal.Config(
                        3, Loss.CE, 1, new Schedule(30, 8, 1e-2, 0, DType.F32), written.toString());
        try (Checkpoint source = Checkpoint.open(model().write(folder.resolve("model")));
                WholeModel model =
                        WholeModel.open(source, HealTest.windows(64, 3), Workbench.EMPTY);
                WholeModel healed = new Heal().apply(model, heal)) {
            var config = new Config(written.toString());
            merge.configure(model.config(), config);
            try (WholeModel merged = merge.apply(model, config);
                    var scope = TensorScope.open()) {
                Value ids = scope.tensor(windows(300).windows()[0], 1, 20);
                float[] expected = logits(healed, ids, scope);
                assertThat(logits(model, ids, scope)).isNotEqualTo(expected);
                assertThat(logits(merged, ids, scope)).containsExactly(expected, within(1e-4f));
            }
            var json = new ObjectMapper().readTree(written.resolve("adapter_config.json").toFile());
            assertThat(json.path("r").asInt()).isEqualTo(3);
            assertThat(json.path("lora_alpha").asInt()).isEqualTo(3);
            assertThat(json.path("target_modules")).hasSize(7);
        }
    }

    private static float[] logits(WholeModel model, Value ids, TensorScope scope) {
        return FlatModel.frozen(model, 20, DType.F32, scope).logits(ids, scope).floats();
    }

    @Test
    void scalesByTheRankOrItsRoot() {
        assertThat(new Adapter.Scale(8, false).of(4)).isEqualTo(2);
        assertThat(new Adapter.Scale(8, true).of(4)).isEqualTo(4);
    }

    @Test
    void refusesWhatCannotBe(@TempDir Path folder) throws IOException {
        ObjectNode model = model().config();
        assertThatThrownBy(() -> merge.configure(model, new Config("")))
                .hasMessageContaining("adapter is missing");
        assertThatThrownBy(() -> merge.configure(model, new Config(folder.toString())))
                .hasMessageContaining("no folder with adapter_config.json");
        Path adapter = adapter(folder.resolve("a"), 1);
        var config = new Config(adapter.toString());
        ObjectNode narrow = TinyModel.small().layers(4).width(32, 48).config();
        assertThatThrownBy(() -> merge.configure(narrow, config))
                .hasMessageContaining("and is 48 x 32 itself");
        assertThatThrownBy(
                        () -> merge.configure(TinyModel.of("phi3").width(32, 64).config(), config))
                .hasMessageContaining("which the model has not");
        assertThatThrownBy(() -> Adapter.checkTarget(folder))
                .hasMessageContaining("exists and holds no adapter");
        for (String key :
                List.of(
                        "\"use_dora\": true",
                        "\"bias\": \"all\"",
                        "\"peft_type\": \"IA3\"",
                        "\"modules_to_save\": [\"lm_head\"]",
                        "\"lora_alpha\": 0")) {
            Files.writeString(
                    adapter.resolve("adapter_config.json"), "{\"lora_alpha\": 1, " + key + "}");
            assertThatThrownBy(() -> merge.configure(model, config))
                    .hasMessageContaining(key.substring(1, key.indexOf('"', 1)));
        }
        assertThatThrownBy(() -> new Heal.Config(0, Loss.KL, 1, Schedule.of(1, 1, 1), "there"))
                .hasMessageContaining("rank is 0, which trains no adapter");
        var thin = new LinearForm.LowRank(new LinearForm.Dense(DType.F32), 2);
        var q = new LinearName("q", 0, LinearName.Slot.QKV, 32, 32, false);
        assertThatThrownBy(() ->
                        new Heal()
                                .outcome(
                                        ModelSpec.of(model, "tiny"),
                                        q,
                                        thin,
                                        new Heal.Config(
                                                2, Loss.KL, 1, Schedule.of(1, 1, 1), "there")))
                .hasMessageContaining("leave the key adapter out");
    }
}
