package dev.lithe.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lithe.TinyModel;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.Device;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// A model on a device that is not the processor, as far as that can be tested without one.
///
/// libtorch's device `meta` has shapes and no numbers, and no attention either: embedding, output
/// layer and caches run on it here. For what lies between them, tensors that kernels make are
/// looked for in their source. Layouts of integers and float8 are tested on the processor
/// ([LinearFormContract]); what `_weight_int4pack_mm` makes of its own was run nowhere.
class CudaLinearsTest {
    private static final Device META = new Device("meta");

    private static final Pattern MAKES =
            Pattern.compile("torch\\.(arange|empty|eye|full|ones|tensor|zeros)\\(");

    /// What is made there on purpose, and moved afterwards.
    private static final Map<String, List<String>> ON_THE_PROCESSOR =
            Map.of(
                    "decoder",
                    List.of(
                            "angle = torch.reshape(torch.arange(length, dtype=6), [1, -1, 1]) *"
                                    + " torch.unsqueeze(frequency, 1)",
                            "m = torch.reshape(torch.tensor(magnitude, dtype=6), [-1, 1, 1])"),
                    "sinks",
                    List.of(
                            "row = torch.arange(filled)",
                            "return torch.unsqueeze(torch.arange(position, position + T), 1) - held"),
                    "pages",
                    List.of());

    @TempDir private Path folder;

    @ParameterizedTest
    @ValueSource(strings = {"llama", "mistral", "qwen2", "qwen3", "phi3", "gemma"})
    void bothEndsOfAForwardPassAreOnTheDevice(String type) throws IOException {
        TinyModel model = TinyModel.of(type).dtype(DType.BF16);
        try (Decoder decoder = Decoder.open(model.write(folder), META);
                var scope = TensorScope.open()) {
            KvCache cache = decoder.newCache(1, 32, scope);
            var batch = new KvBatch(List.of(cache));
            var pieces = Pieces.of(new int[][] {{1, 2, 3}}, batch);
            Value x = decoder.embed(pieces, scope);
            Angles angles = decoder.angles(pieces, scope);
            for (Value value : List.of(x, angles.cos(), cache.keys().members().getFirst())) {
                assertThatThrownBy(value::floats).isInstanceOf(LitheException.class);
            }
            Value logits = decoder.head(x, pieces, angles, scope);
            assertThat(logits.elements()).isEqualTo(300);
            assertThatThrownBy(logits::floats).isInstanceOf(LitheException.class);
        }
    }

    @Test
    void theDeviceRefusesTensorsOfOthers() {
        try (var scope = TensorScope.open()) {
            Value here = scope.tensor(new float[] {1, 2, 3, 4}, 2, 2);
            Value there = META.place(here, scope);
            assertThatThrownBy(() -> scope.call("scale_rows", here, there))
                    .hasMessageContaining("meta");
        }
    }

    @Test
    void waitingReadsWhatIsComputed() {
        try (var scope = TensorScope.open()) {
            Value here = scope.tensor(new float[] {1, 2, 3, 4}, 2, 2);
            Device.CPU.await(here);
            new Device("cpu:0").await(here); // another name, so that it is not passed over
            Value there = META.place(here, scope);
            assertThatThrownBy(() -> META.await(there)).isInstanceOf(LitheException.class);
        }
    }

    /// `torch.ones([T])` would lie on the processor wherever the model is.
    @ParameterizedTest
    @ValueSource(strings = {"decoder", "sinks", "pages"})
    void kernelsOfTheForwardPassMakeNothingElsewhere(String file) throws IOException {
        Path source = Path.of("src/main/torchscript", file + ".py");
        List<String> elsewhere =
                Files.readAllLines(source).stream()
                        .filter(line -> MAKES.matcher(line).find())
                        .filter(line -> !line.contains("device="))
                        .map(String::strip)
                        .toList();
        assertThat(elsewhere).containsExactlyInAnyOrderElementsOf(ON_THE_PROCESSOR.get(file));
    }

    @Test
    void floatsKeepTheTypeTheyAreStoredIn() throws IOException {
        TinyModel model = TinyModel.small().dtype(DType.BF16);
        try (Decoder decoder = Decoder.open(model.write(folder), META)) {
            assertThat(decoder.kernels()).containsOnlyKeys("bfloat16");
        }
    }

    @Test
    void evenCodesOfFourBitsLieAbove() {
        try (var scope = TensorScope.open()) {
            Value codes = scope.tensor(new long[] {1, 2, 15, 0, 9, 9, 0, 7}, 2, 4);
            assertThat(scope.call("int4_bytes", codes).longs())
                    .containsExactly(0x12, 0xf0, 0x99, 0x07);
        }
    }

    @Test
    void theProcessorHasNoProductOfTiles() {
        assertThat(CudaLinears.Products.of(Device.CPU).int4()).isFalse();
        assertThat(CudaLinears.Products.of(META)).isEqualTo(new CudaLinears.Products(false, false));
    }
}
