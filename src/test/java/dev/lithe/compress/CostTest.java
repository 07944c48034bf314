package dev.lithe.compress;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lithe.TinyModel;
import dev.lithe.calibrate.CalibrationOptions;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.Machine;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// What a plan takes: room that is missing is found out before any work, and streams that are large
/// for the machine go to files without changing a byte of the result.
class CostTest {
    private static final Machine LARGE = new Machine(1L << 40, 1L << 40);

    @TempDir private Path folder;

    private final Recipe recipe =
            new Recipe(
                    "gptq",
                    RecipeParser.inline(List.of("gptq:bits=4,group_size=16")).stages(),
                    List.of(),
                    new CalibrationOptions(null, 6, 20, 1));

    @BeforeEach
    void write() throws IOException {
        TinyModel.small().biases().write(folder.resolve("model"));
        Files.writeString(folder.resolve("text.txt"), "one two three four ".repeat(60));
    }

    private Path compress(String name, Machine machine, List<String> files) {
        Path model = folder.resolve("model");
        Path partial = folder.resolve(name + ".partial");
        try (Checkpoint checkpoint = Checkpoint.open(model)) {
            Plan plan = Plan.of(recipe, checkpoint);
            CalibrationSet set = set(plan);
            Compressor.Listener listener =
                    (_, _, _) -> {
                        for (String spill : List.of("stream.spill", "after-attention.spill")) {
                            if (Files.exists(partial.resolve(spill)) && !files.contains(spill)) {
                                files.add(spill);
                            }
                        }
                    };
            return new Compressor(plan, checkpoint, set, listener, machine)
                    .run(folder.resolve(name), false);
        }
    }

    private CalibrationSet set(Plan plan) {
        return CalibrationSet.draw(
                folder.resolve("text.txt"),
                plan.recipe().calibration(),
                folder.resolve("model"),
                plan.spec());
    }

    @Test
    void largeStreamsGoToFilesAndTheResultIsTheSame() throws IOException {
        List<String> none = new ArrayList<>();
        List<String> both = new ArrayList<>();
        Path kept = compress("kept", LARGE, none);
        Path spilled = compress("spilled", new Machine(60_000, 1L << 40), both);
        assertThat(none).isEmpty();
        assertThat(both).containsExactly("stream.spill", "after-attention.spill");
        for (String file : List.of("model.safetensors", "lithe.json", "config.json")) {
            assertThat(spilled.resolve(file)).hasSameBinaryContentAs(kept.resolve(file));
        }
        try (var files = Files.list(spilled)) {
            assertThat(files.map(file -> file.getFileName().toString()))
                    .noneMatch(name -> name.endsWith(".spill"));
        }
        assertThat(folder.resolve("spilled.partial")).doesNotExist();
    }

    @Test
    void streamsCountAsMemoryOrAsDisk() {
        try (Checkpoint checkpoint = Checkpoint.open(folder.resolve("model"))) {
            Plan plan = Plan.of(recipe, checkpoint);
            CalibrationSet set = set(plan);
            Cost kept = Cost.of(plan, checkpoint, set, LARGE);
            Cost spilled = Cost.of(plan, checkpoint, set, new Machine(60_000, 1L << 40));
            long streams = 2L * 6 * 20 * 32 * Float.BYTES;
            assertThat(kept.spills()).isFalse();
            assertThat(spilled.spills()).isTrue();
            assertThat(kept.memoryBytes() - spilled.memoryBytes()).isEqualTo(streams);
            assertThat(spilled.diskBytes() - kept.diskBytes()).isEqualTo(streams);
            assertThat(kept.diskBytes()).isEqualTo(2 * plan.bytes());
            assertThat(kept.seconds()).containsOnlyKeys("windows", "gptq", "disk");
            assertThat(kept.totalSeconds()).isPositive().isLessThan(600);
        }
    }

    @Test
    void memoryThatIsMissingIsFoundOutBeforeAnything() {
        assertThatThrownBy(() -> compress("made", new Machine(1L << 40, 1 << 20), List.of()))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("MB of memory, and 1 MB are free")
                .message()
                .hasLineCount(1);
        assertThat(folder.resolve("made.partial")).doesNotExist();
    }

    @Test
    void trainingsAreEstimated() {
        Needs all = needs("heal:steps=10,rank=0,batch=2");
        Needs adapters = needs("heal:steps=10,rank=2,batch=2");
        Needs longer = needs("heal:steps=20,rank=0,batch=2");
        assertThat(all.unknown()).isEmpty();
        assertThat(all.seconds()).containsOnlyKeys("heal");
        assertThat(longer.totalSeconds()).isGreaterThan(1.2 * all.totalSeconds());
        assertThat(adapters.memoryBytes()).isLessThan(all.memoryBytes());
        assertThat(needs("block_heal:steps=10,batch=64").memoryBytes())
                .isGreaterThan(needs("block_heal:steps=10,batch=32").memoryBytes());
        assertThat(all.diskBytes()).isGreaterThan(adapters.diskBytes());
        assertThat(needs("depth_prune:remove=1").unknown()).hasSize(1);
        assertThatThrownBy(() ->
                        all.costs().getFirst().requireRoom(folder, new Machine(1L << 40, 1 << 20)))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("a training's batch");
    }

    private Needs needs(String stage) {
        Recipe training = RecipeParser.inline(List.of(stage));
        try (Checkpoint checkpoint = Checkpoint.open(folder.resolve("model"))) {
            return Needs.of(training, checkpoint, set(Plan.of(recipe, checkpoint)));
        }
    }

    @Test
    void theMachineIsAsLargeAsItSays() {
        Machine here = Machine.here();
        assertThat(here.memoryBytes()).isGreaterThan(1L << 28);
        assertThat(here.availableBytes()).isPositive();
        assertThat(Machine.productRate()).isGreaterThan(1e8);
    }
}
