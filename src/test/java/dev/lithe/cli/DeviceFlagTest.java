package dev.lithe.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.lithe.TinyModel;
import dev.lithe.tensor.Device;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DeviceFlagTest {
    @TempDir private Path folder;

    @ParameterizedTest
    @ValueSource(strings = {"run", "serve", "evaluate", "compress", "search"})
    void aDeviceThatIsNotThereEndsTheCommandBeforeAnyWork(String command) throws IOException {
        assumeTrue(Device.choose("auto").isCpu(), "this machine has a CUDA device");
        List<Object> arguments = new ArrayList<>(List.of(command));
        arguments.add(TinyModel.small().write(folder.resolve("model")));
        arguments.addAll(List.of("--device", "cuda"));
        if (command.equals("run") || command.equals("compress")) {
            arguments.addAll(List.of("-o", folder.resolve("made")));
        }
        CommandLineRun run = CommandLineRun.of(arguments.toArray());
        assertThat(run.code()).isEqualTo(2);
        assertThat(run.out()).isEmpty();
        assertThat(run.err().strip().lines())
                .singleElement()
                .asString()
                .contains("'cuda'", "sees no CUDA device", "PYTORCH_LIBRARY_PATH");
        assertThat(Files.exists(folder.resolve("made"))).isFalse();
    }

    @Test
    void theReportSaysWhatComputed() throws IOException {
        Path text = Files.writeString(folder.resolve("text.txt"), "once upon a time ".repeat(40));
        CommandLineRun run =
                CommandLineRun.of(
                        "evaluate",
                        TinyModel.small().write(folder.resolve("model")),
                        "--device",
                        "cpu",
                        "--text",
                        text,
                        "--context",
                        "32",
                        "--latency-pairs",
                        "0",
                        "--json");
        assertThat(run.code()).as(run.err()).isZero();
        assertThat(run.out()).contains("\"device\" : \"cpu\"");
    }
}
