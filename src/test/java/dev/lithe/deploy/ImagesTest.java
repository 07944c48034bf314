package dev.lithe.deploy;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.cli.CommandLines;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// The images of `src/main/docker` take what the build leaves; none is built here.
class ImagesTest {
    @ParameterizedTest
    @ValueSource(strings = {"jvm", "cuda", "native"})
    void imagesCopyWhatTheBuildLeaves(String flavor) throws IOException {
        String docker = Files.readString(Path.of("src/main/docker/Dockerfile." + flavor));
        List<String> kept = Files.readAllLines(Path.of(".dockerignore"));
        List<String> copied =
                docker.lines()
                        .filter(line ->
                                line.startsWith("COPY target") || line.startsWith("COPY src"))
                        .map(line -> line.split(" ")[1])
                        .toList();
        assertThat(copied)
                .isEqualTo(
                        flavor.equals("native")
                                ? List.of("target/lithe")
                                : List.of(
                                        "target/lithe",
                                        "target/quarkus-app",
                                        "src/main/launcher/train"));
        copied.forEach(path -> assertThat(kept).contains("!" + path));
        assertThat(docker).contains("USER 10001").contains("ENTRYPOINT [\"lithe\"]");
        assertThat(docker.contains("--from=libtorch")).isEqualTo(!flavor.equals("jvm"));
        List<String> run =
                docker.lines()
                        .filter(line -> line.startsWith("RUN lithe "))
                        .flatMap(line -> Arrays.stream(line.split(" > ")[0].split(" ")).skip(2))
                        .toList();
        assertThat(CommandLines.printed(run.toArray(String[]::new))).contains("perplexity");
    }

    @Test
    void imagesHaveTheLibtorchThatTheProgramIsBuiltFor() throws IOException {
        String version =
                Files.readString(Path.of("pom.xml"))
                        .lines()
                        .filter(line -> line.contains("<libtorch.version>"))
                        .map(line -> line.replaceAll("<[^>]*>", "").strip())
                        .findFirst()
                        .orElseThrow();
        for (String flavor : List.of("cuda", "native")) {
            assertThat(Files.readString(Path.of("src/main/docker/Dockerfile." + flavor)))
                    .contains("PYTORCH_VERSION=" + version + " ");
        }
        assertThat(Files.readString(Path.of("src/main/java/dev/lithe/tensor/Torch.java")))
                .contains("PYTORCH_VERSION to its version, " + version);
    }
}
