package dev.lithe.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.TinyModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// `export`: what it writes, and what it refuses.
class ExportCommandTest {
    @TempDir private Path temporary;

    @Test
    void writesBothForms() throws IOException {
        Path model = TinyModel.small().write(temporary.resolve("model"));
        Path file = temporary.resolve("model.gguf");
        var gguf = CommandLineRun.of("export", model, "--to", "gguf", "--type", "q8_0", "-o", file);
        assertThat(gguf.code()).isZero();
        assertThat(gguf.out()).contains("model.gguf · ");
        assertThat(file).exists();
        Path dense = temporary.resolve("dense");
        assertThat(CommandLineRun.of("export", model, "--to", "dense", "-o", dense).code())
                .isZero();
        assertThat(CommandLineRun.of("inspect", dense).code()).isZero();
    }

    @Test
    void saysWhichRowsAreOfAnotherTypeThanAskedFor() throws IOException {
        Path model =
                TinyModel.of("llama")
                        .width(256, 288)
                        .heads(8, 2, 32)
                        .write(temporary.resolve("model"));
        Path file = temporary.resolve("model.gguf");
        var run = CommandLineRun.of("export", model, "--to", "gguf", "--type", "q4_k", "-o", file);
        assertThat(run.code()).isZero();
        assertThat(run.err())
                .isEqualToNormalizingNewlines(
                        "noted      2 weights are Q5_0: their rows of 288 are no multiple of 256, as"
                                + " Q4_K needs\n");
    }

    /// A GGUF file is a model to every command.
    @Test
    void readsWhatItWrote() throws IOException {
        Path model = TinyModel.small().write(temporary.resolve("model"));
        Path file = temporary.resolve("model.gguf");
        assertThat(CommandLineRun.of("export", model, "--to", "gguf", "-o", file).code()).isZero();
        var inspect = CommandLineRun.of("inspect", file);
        assertThat(inspect.code()).isZero();
        assertThat(inspect.out()).contains("model.gguf · LlamaForCausalLM");
        Path small = temporary.resolve("small");
        var compress =
                CommandLineRun.of(
                        "compress",
                        file,
                        "--stage",
                        "rtn:bits=4,group_size=32",
                        "-o",
                        small,
                        "--no-evaluate");
        assertThat(compress.err() + compress.code()).endsWith("0");
        assertThat(CommandLineRun.of("inspect", small).out()).contains("int4 group 32");
        assertThat(small.resolve("tokenizer.json")).exists();
        refused("is a file of the model", "export", file, "--to", "gguf", "-o", file, "--force");
    }

    @Test
    void saysWhereCodesBecameFloats() {
        for (String stage : List.of("nf4", "rtn:bits=4,group_size=32")) {
            Path small = temporary.resolve("small-" + stage.substring(0, 3));
            var compress =
                    CommandLineRun.of(
                            "compress", "demo", "--stage", stage, "-o", small, "--no-evaluate");
            assertThat(compress.code()).as(compress.err()).isZero();
            for (String form : List.of("compressed-tensors", "gguf")) {
                Path file = temporary.resolve(stage.substring(0, 3) + "." + form);
                var run = CommandLineRun.of("export", small, "--to", form, "-o", file);
                assertThat(run.code()).as(run.err()).isZero();
                assertThat(run.err().contains("was written as floats"))
                        .as(stage + " " + form)
                        .isEqualTo(stage.equals("nf4"));
            }
        }
    }

    @Test
    void refusesWhatItCannotDo() throws IOException {
        Path model = TinyModel.small().write(temporary.resolve("model"));
        Path file = temporary.resolve("model.gguf");
        refused("--to onnx is unknown", "export", model, "--to", "onnx", "-o", file);
        refused(
                "--type q3 is unknown",
                "export",
                model,
                "--to",
                "gguf",
                "--type",
                "q3",
                "-o",
                file);
        refused("--type goes with", "export", model, "--to", "dense", "--type", "f16", "-o", file);
        refused("is a folder", "export", model, "--to", "gguf", "-o", temporary);
        assertThat(file).doesNotExist();
        assertThat(CommandLineRun.of("export", model, "--to", "gguf", "-o", file).code()).isZero();
        refused("or add --force", "export", model, "--to", "gguf", "-o", file);
    }

    @Test
    void keepsOffTheFilesOfTheModel() throws IOException {
        Path model = TinyModel.small().write(temporary.resolve("model"));
        Path weights = model.resolve("model.safetensors");
        byte[] before = Files.readAllBytes(weights);
        for (String name : List.of("model.safetensors", "config.json", "../model/tokenizer.json")) {
            Path file = model.resolve(name);
            refused(
                    "is a file of the model",
                    "export",
                    model,
                    "--to",
                    "gguf",
                    "-o",
                    file,
                    "--force");
        }
        assertThat(weights).hasBinaryContent(before);
        Path inside = model.resolve("model.gguf");
        for (int i = 0; i < 2; i++) {
            var run = CommandLineRun.of("export", model, "--to", "gguf", "-o", inside, "--force");
            assertThat(run.code()).isZero();
        }
    }

    private static void refused(String reason, Object... arguments) {
        var run = CommandLineRun.of(arguments);
        assertThat(run.code()).isEqualTo(2);
        assertThat(run.err()).contains(reason);
    }
}
