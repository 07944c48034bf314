package dev.lithe.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/// `lithe` in a process of its own, and the folders that such processes leave.
final class OwnProcess {
    private OwnProcess() {}

    /// Starts it.
    ///
    /// @param log gets all that it says
    /// @param environment variables beside this process's
    static Process start(Path log, Map<String, String> environment, String... arguments)
            throws IOException {
        List<String> command =
                new ArrayList<>(
                        List.of(
                                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                                "-XX:TieredStopAtLevel=1",
                                "-XX:+UseSerialGC",
                                "-Xshare:auto",
                                "-XX:ErrorFile=" + log + ".crash",
                                "--enable-native-access=ALL-UNNAMED",
                                "-cp",
                                System.getProperty("java.class.path"),
                                "dev.lithe.cli.Main"));
        command.addAll(List.of(arguments));
        var builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().putAll(environment);
        return builder.redirectOutput(log.toFile()).start();
    }

    /// Whether the one whose log is `log` crashed.
    static boolean crashed(Path log) {
        return Files.exists(Path.of(log + ".crash"));
    }

    /// Two folders have the same files, byte by byte.
    static void requireSame(Path expected, Path made, String when) throws IOException {
        try (var files = Files.list(expected);
                var others = Files.list(made)) {
            List<Path> names = files.map(Path::getFileName).sorted().toList();
            assertThat(others.map(Path::getFileName)).as(when).hasSameElementsAs(names);
            for (Path name : names) {
                assertThat(made.resolve(name))
                        .as("%s: %s", when, name)
                        .hasSameBinaryContentAs(expected.resolve(name));
            }
        }
    }
}
